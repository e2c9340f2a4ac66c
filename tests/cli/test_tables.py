"""What the terminal shows of a report: the page's figures, in 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compressor.cli import tables
from compressor.cli.console import Console
from compressor.pipeline.run.run import Outcome
from compressor.report.contract.report import Limit, Needed, PipelineText, Report, Statement, TaskFacts, Verdict
from compressor.report.contract.rows import LatencyRow, Measured, ModelRow, Speedup


def row(step: str, **facts: Any) -> ModelRow:
    return ModelRow(step=step, stage="finetune", kind="onnx", key="0" * 64, reused=False, **facts)


def report(ship: str = "edge") -> Report:
    drop = Statement(
        measure="accuracy", limit=Limit(max_drop=0.03), value=0.1194, low=0.0104, high=0.1608, state="open", how="",
        needed=Needed(samples=5913),
    )  # fmt: skip
    size = Statement(measure="size_mb", limit=Limit(max=0.1), value=0.03902, low=None, high=None, state="holds", how="")
    models = (
        row("teacher", size_bytes=693_000, macs=1_630_000, quality={
            "accuracy": Measured(value=0.9694, low=0.9461, high=1.0, n=360)
        }),
        row("half-done"),
        row(ship, size_bytes=39_020, latency=(LatencyRow(threads=1, batch=1, p50_ms=0.0284),),
            speedup=Speedup(value=2.02, low=None, high=None)),
    )  # fmt: skip
    return Report(
        name="q", created="now", compress_version="1", pipeline=PipelineText(sha256="0", text=""),
        task=TaskFacts(type="t", metric="accuracy"), models=models, warnings=("[a] note",),
        verdict=Verdict(state="undecided", ship=ship, baseline="teacher", statements=(drop, size)),
    )  # fmt: skip


def shown(made: Report, width: int = 80) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        tables.show_outcome(console, Outcome(made, Path("runs/q")))
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def test_the_figures_are_those_of_the_page() -> None:
    assert shown(report())[2:5] == [
        "teacher      96.94 %  94.61 to 100.00   0.693 MB  1.63 M          —  baseline",
        "half-done          —                —          —       —          —         —",
        "edge ships         —                —  0.0390 MB       —  0.0284 ms     2.02×",
    ]


def test_an_open_statement_says_what_would_decide_it() -> None:
    text = " ".join(" ".join(shown(report())).split())
    assert "11.94 points 1.04 to 16.08 points open" in text
    assert "file size at most 0.1 MB 0.0390 MB exact holds" in text
    assert "the limit lies inside the interval; about 5,913 test samples" in text
    assert "note: [a] note verdict: undecided report: runs/q/report.html" in text


@pytest.mark.parametrize("ship", ["edge", "a-student-of-the-large-teacher"])
def test_no_figure_is_cut_at_80_columns(ship: str) -> None:
    narrow, wide = shown(report(ship)), shown(report(ship), 200)
    assert max(map(len, narrow)) <= 80
    assert "…" not in "".join(narrow)
    assert f"{ship} ships" in "".join(wide)
    assert "".join("".join(narrow[2:8]).split()).startswith("teacher96.94%94.61to100.000.693MB1.63M—baseline")
