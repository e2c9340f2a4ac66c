"""Writes the README's tables from the committed results: `python benchmarks/readme_table.py`.

Every figure between the markers comes from benchmarks/results/; the reports there are those of the commands named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
RESULTS = HERE / "results"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def reports() -> dict[str, dict[str, Any]]:
    """The committed reports by the pipeline's path below the repository, in the order in which they are shown."""
    files = {f"pipelines/{name}.yaml": name for name in ("quickstart", "cifar10", "fashion-mnist", "flowers")}
    files |= {f"benchmarks/int8_resnets/{name}.yaml": f"int8-{name}" for name in ("resnet20", "resnet56")}
    return {path: json.loads((RESULTS / f"{name}.json").read_text()) for path, name in files.items()}


def machine(report: dict[str, Any]) -> str:
    where = report["environment"]
    return f"{where['cores']} cores of {where['cpu']}, {where['isa']}, onnxruntime {where['libraries']['onnxruntime']}"


def table() -> Iterator[str]:
    """One table of all models of all reports, and where they were measured."""
    found = reports()
    yield "| pipeline | step | accuracy, % (95 % interval) | size, MB | MACs, million | median, ms | speed-up |"
    yield "|---|---|---|---|---|---|---|"
    for path, report in found.items():
        seconds = sum(row["seconds"] or 0 for row in report["models"])
        took = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        about = [f"[{report['name']}]({path})", f"`{report['verdict']['state']}`, {took}"]
        about.append(f"{report['task']['samples']['test']:,} test samples")
        for place, row in enumerate(report["models"]):
            yield f"| {about[place] if place < len(about) else ''} | {' | '.join(cells(row))} |"
    yield ""
    places = {machine(report) for report in found.values()}
    for place in sorted(places):
        names = [report["name"] for report in found.values() if machine(report) == place]
        yield f"Measured on {place}{'' if len(places) == 1 else ': ' + ', '.join(names)}; medians with one thread."
    yield "The time is that of the steps; a speed-up is the median of the ratios within a round."
    yield ""


def cells(row: dict[str, Any]) -> list[str]:
    quality = row["quality"]["accuracy"]
    timed = next((one for one in row["latency"] or () if one["threads"] == 1), None)
    speed = row["speedup"]
    return [
        row["step"],
        f"{100 * quality['value']:.2f} ({100 * quality['low']:.2f}–{100 * quality['high']:.2f})",
        f"{row['size_bytes'] / 1e6:.3f}",
        f"{row['macs'] / 1e6:.2f}",
        f"{timed['p50_ms']:.3f}" if timed else "",
        f"{speed['value']:.2f} ({speed['low']:.2f}–{speed['high']:.2f})" if speed else "",
    ]


def gain_lines() -> Iterator[str]:
    gain = json.loads((RESULTS / "distillation_gain" / "gain.json").read_text())
    yield f"**What distillation gives**, {gain['question']}"
    yield "(`python benchmarks/distillation_gain/run.py`):"
    yield ""
    yield "| seed | plain, % | distilled, % | gain, points (95 % interval) |"
    yield "|---|---|---|---|"
    for row in gain["seeds"]:
        interval = f"{100 * row['gain_low']:+.2f} to {100 * row['gain_high']:+.2f}"
        yield (
            f"| {row['seed']} | {100 * row['plain']:.2f} | {100 * row['distilled']:.2f} "
            f"| {100 * row['gain']:+.2f} ({interval}) |"
        )
    mean = f"{100 * gain['mean_gain']:+.2f}"
    if gain["interval_95"]:
        low, high = (100 * one for one in gain["interval_95"])
        mean += f" ({low:+.2f} to {high:+.2f}, Student's t over {len(gain['seeds'])} seeds)"
    yield f"| mean | | | {mean} |"
    yield ""


def plain_lines() -> Iterator[str]:
    yield "**int8 against plain `quantize_static`** of the same float graph, in the same rounds, one thread"
    yield "(`python benchmarks/int8_against_plain.py PIPELINE`): the time of ours over that of the plain file."
    yield ""
    yield "| network | ours | ratio (95 % interval) |"
    yield "|---|---|---|"
    for path in sorted((RESULTS / "int8_against_plain").glob("*.json")):
        for step, one in json.loads(path.read_text())["ratios"].items():
            yield f"| {path.stem} | {step} | {one['value']:.3f} ({one['low']:.3f}–{one['high']:.3f}) |"
    yield ""


def text() -> str:
    """The whole section."""
    return "\n".join([*table(), *gain_lines(), *plain_lines()])


def filled(readme: str) -> str:
    """The README with the section made anew."""
    head, rest = readme.split(BEGIN)
    tail = rest.split(END)[1] if END in rest else rest
    return f"{head}{BEGIN}\n\n{text()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
