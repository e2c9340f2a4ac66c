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


def report_lines(name: str, command: str) -> Iterator[str]:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return
    report: dict[str, Any] = json.loads(path.read_text())
    where = report["environment"]
    minutes = sum(row["seconds"] or 0 for row in report["models"]) / 60
    samples = report["task"]["samples"]["test"]
    yield f"**{report['name']}**, verdict `{report['verdict']['state']}`: `{command}`  "
    yield (
        f"{samples:,} test samples, {where['cores']} cores of {where['cpu']} ({where['isa']}), "
        f"onnxruntime {where['libraries']['onnxruntime']}; steps took {minutes:.0f} min in all."
    )
    yield ""
    yield "| step | accuracy, % (95 % interval) | size, MB | MACs, million | median, ms (1 thread) | speed-up |"
    yield "|---|---|---|---|---|---|"
    for row in report["models"]:
        quality = row["quality"]["accuracy"]
        timed = next((one for one in row["latency"] or () if one["threads"] == 1), None)
        speed = row["speedup"]
        cells = [
            row["step"],
            f"{100 * quality['value']:.2f} ({100 * quality['low']:.2f}–{100 * quality['high']:.2f})",
            f"{row['size_bytes'] / 1e6:.3f}",
            f"{row['macs'] / 1e6:.2f}",
            f"{timed['p50_ms']:.3f}" if timed else "",
            f"{speed['value']:.2f} ({speed['low']:.2f}–{speed['high']:.2f})" if speed else "",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def gain_lines() -> Iterator[str]:
    path = RESULTS / "distillation_gain" / "gain.json"
    if not path.exists():
        return
    gain = json.loads(path.read_text())
    yield "**What distillation gives** over plain training of the same student, epochs and seed: "
    yield "`python benchmarks/distillation_gain/run.py`"
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


def text() -> str:
    """The whole section."""
    lines: list[str] = []
    for name in ("quickstart", "cifar10", "fashion-mnist", "flowers"):
        lines += report_lines(name, f"compress run pipelines/{name}.yaml")
    for name in ("resnet20", "resnet56"):
        lines += report_lines(f"int8-{name}", f"compress run benchmarks/int8_resnets/{name}.yaml")
    lines += gain_lines()
    return "\n".join(lines)


def filled(readme: str) -> str:
    """The README with the section made anew."""
    head, rest = readme.split(BEGIN)
    tail = rest.split(END)[1] if END in rest else rest
    return f"{head}{BEGIN}\n\n{text()}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
