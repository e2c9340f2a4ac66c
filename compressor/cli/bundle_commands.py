"""What `compress verify` and `compress evaluate` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compressor.cli.console import say
from compressor.models.answer_kinds import ANSWERS, NAMES

if TYPE_CHECKING:
    from compressor.api.evaluate import Evaluated
    from compressor.api.verify import Verified


def show_verified(where: str, verified: Verified) -> None:
    """A line for each check of a bundle."""
    width = max(len(check.name) for check in verified.checks)
    for check in verified.checks:
        say(f"{check.name:<{width}}  {check.found}")
    say(f"{where} is what was written{', and computes what it computed' if verified.reproduced else ''}")


def described(found: Evaluated) -> list[str]:
    """An evaluation in lines for people."""
    size = f"{found['size_bytes'] / 1e6:.3f} MB"
    precision = found["precision"] or "precision unknown"
    lines = [f"{found['file']}: {precision}, {size}, on {found['task']['data']}, in onnxruntime"]
    lines += [
        found["macs_unknown"] or f"{found['params']:,} parameters, {found['macs']:,} multiply-accumulates a sample"
    ]
    if found["precision_unknown"]:
        lines.append(found["precision_unknown"])
    if found["unknown_operators"]:
        named = ", ".join(found["unknown_operators"])
        lines.append(f"nobody here can say whether {named} computes in integers or in float")
    if (ends := found["final_activation"]) is not None:
        lines.append(f"it ends in a {NAMES[ends]}: its answers are the {ANSWERS[ends]}")
    groups = {"all test samples": found["quality"], "samples no choice was made on": found["quality_unseen"] or {}}
    for where, group in groups.items():
        for metric, one in group.items():
            interval = "" if one["low"] is None else f" (95 %: {one['low']:.4f} to {one['high']:.4f})"
            lines.append(f"{metric} {one['value']:.4f}{interval}, {where}, {one['n']:,}")
    for row in found["latency"]:
        interval = "" if row["low_ms"] is None else f" (95 %: {row['low_ms']:.3f} to {row['high_ms']:.3f})"
        threads = f"{row['threads']} thread{'' if row['threads'] == 1 else 's'}"
        lines.append(f"p50 {row['p50_ms']:.3f} ms{interval}, {threads}, batch {row['batch']}")
    lines.append(f"measured on {found['machine']['cpu']}, {found['machine']['isa']}; your device differs")
    return lines
