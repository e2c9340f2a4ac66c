"""README.md of a bundle: the model card, made from bundle.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.printable import in_markdown, printable

PROVEN = (
    "Bits: proven. Weights of 7 bits cannot saturate, and no number that is rounded comes near a tie: the same network "
    "input gives the same bits in onnxruntime on every CPU."
)
SEVEN_BITS = "Weights of 7 bits cannot saturate, so no CPU answers quite otherwise; outputs may still differ a little."
EIGHT_BITS = (
    "Weights of 8 bits: the figures hold on x86 CPUs with VNNI and on Arm only. On x86 CPUs without VNNI sums saturate "
    "and several answers in a hundred change."
)
FLOAT = "Float arithmetic: outputs differ from CPU to CPU in the last digits."
PICTURES = (
    "reproduces the golden samples with `python run.py --check`.\n`samples.npz` holds these: a few pictures of the "
    "test set, as pixels alone, without the data that cameras and editors add."
)
NO_PICTURES = (
    "answers with `python run.py PICTURE`.\nNo pictures of the test set are inside, and no golden samples: nothing "
    "here can show that another device computes the same (`run.py --check` says so and is exit 2)."
)
UNKNOWN_LICENCE = "Not known to the pipeline that made this: ask whoever trained the first network."
ANSWERS_SHOWN = 20


def render(facts: Mapping[str, Any]) -> str:
    """The card as Markdown. No time and no host: equal bundles have equal cards."""
    sections = [
        f"# {in_markdown(facts.get('name') or 'A compressed model')}",
        _what(facts),
        "## How good",
        _quality(facts),
        "## In and out",
        _ports(facts),
        "## Limits",
        _limits(facts),
        "## Licence of the weights",
        in_markdown(facts.get("licence") or UNKNOWN_LICENCE),
        "## Use",
        "`bundle.json` describes everything in this folder, with digests. `compress verify` checks it; "
        "`compress export . --to python DIR` makes a copy with `run.py`, which needs numpy, onnxruntime and Pillow and "
        f"{PICTURES if facts.get('samples', True) else NO_PICTURES}",
    ]
    return printable("\n\n".join(sections), lines=True) + "\n"


def _code(text: str) -> str:
    """A name as code; what would end the code is replaced."""
    return f"`{' '.join(printable(text).split()).replace('`', chr(39))}`"


def _what(facts: Mapping[str, Any]) -> str:
    task, answers = facts["task"], facts["answers"]
    kinds = {"int8": "an int8 network", "float32": "a float32 network"}
    lines = [f"`model.onnx` is {kinds.get(facts['precision'], 'a network of mixed precision')} for {task['type']}."]
    if task.get("data"):
        lines.append(f"Its pipeline trains and calibrates on the training samples of {in_markdown(task['data'])}; "
                     "a network that it started from may have seen others.")  # fmt: skip
    if answers:
        shown = ", ".join(map(in_markdown, answers[:ANSWERS_SHOWN]))
        more = f" and {len(answers) - ANSWERS_SHOWN} more" if len(answers) > ANSWERS_SHOWN else ""
        lines.append(f"It knows {len(answers)} answers: {shown}{more}.")
    return "\n".join(lines)


def _quality(facts: Mapping[str, Any]) -> str:
    rows = ["| metric | measured on | value | 95 % interval |", "|---|---|---|---|"]
    groups = {"the whole test set": facts["quality"], "samples no choice was made on": facts.get("quality_unseen")}
    for where, group in groups.items():
        for metric, found in (group or {}).items():
            interval = "–" if found.get("low") is None else f"{found['low']:.4f} to {found['high']:.4f}"
            cells = (in_markdown(metric), f"{where}, {found['n']:,} samples", f"{found['value']:.4f}", interval)
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _ports(facts: Mapping[str, Any]) -> str:
    rows = ["| | name | dtype | shape | layout | meaning |", "|---|---|---|---|---|---|"]
    for kind in ("inputs", "outputs"):
        for port in facts[kind]:
            shape = " × ".join(str(size) for size in port["shape"])
            words = (port.get("layout") or "–", port.get("meaning") or "–")
            cells = (kind[:-1], port["name"], port["dtype"], shape, *words)
            rows.append("| " + " | ".join(map(in_markdown, cells)) + " |")
    steps = [f"{name}: {value}" for item in facts["preprocess"] for name, value in item.items()]
    lines = ["\n".join(rows)]
    lines.append("Preprocessing, in order: " + ("; ".join(map(_code, steps)) or "none") + ".")
    if facts["in_graph"]:
        inside = ", ".join(map(_code, facts["in_graph"]))
        lines.append(f"The graph itself does {inside}; do not do it again.")
    runtime = facts["onnxruntime"]
    known = runtime.get("oldest")
    oldest = f"onnxruntime {known} or newer (by ONNX's table, not tried)" if known else "a recent onnxruntime"
    versions = f"Opset {facts['opset']}, IR version {facts['ir_version']}"
    lines.append(f"{versions}: {oldest}; made with {runtime['made_with']}.")
    return "\n\n".join(lines)


def _limits(facts: Mapping[str, Any]) -> str:
    arithmetic, bits = FLOAT, facts.get("bits") or {}
    if facts["precision"] != "float32" and facts.get("weight_bits") is not None:
        arithmetic = PROVEN if bits.get("proven") else SEVEN_BITS if facts["weight_bits"] == 7 else EIGHT_BITS
    if bits.get("because"):
        arithmetic += f" Bits: not proven, because {', '.join(map(in_markdown, bits['because']))}."
    lines = [
        "- The figures are of pictures like those of the test set; others were not tried.",
        "- It always answers: a picture of something else gets one of its answers too.",
        f"- {arithmetic}",
    ]
    return "\n".join(lines)
