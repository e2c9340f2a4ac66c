"""What is seen while a run goes on: a live line on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from compressor.cli import progress

EVENTS: list[dict[str, Any]] = [
    {"event": "say", "node": "", "text": "preprocess: scale: 255"},
    {"event": "step", "node": "student", "stage": "distill"},
    {"event": "progress", "node": "student", "done": 1, "total": 40, "unit": "batches", "numbers": {"loss": 2.5}},
    {"event": "progress", "node": "student", "done": 40, "total": 40, "unit": "batches", "numbers": {"loss": 0.25}},
    {"event": "progress", "node": "student", "done": 3, "total": 7, "unit": "samples", "numbers": {}},
    {"event": "waiting", "text": "step key abc is held by process 7"},
    {"event": "done", "node": "student", "seconds": 75.0},
]


def shown(events: list[dict[str, Any]], *, terminal: bool, log_json: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120)
    with progress.display(console, log_json=log_json, out=out) as display:
        for event in events:
            display(event)
            if isinstance(display, progress.Live):
                display._bars.refresh()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


@pytest.mark.parametrize("until", range(1, len(EVENTS) + 1))
def test_a_terminal_shows_a_live_line_at_every_moment(until: int) -> None:
    said = shown(EVENTS[:until], terminal=True)
    assert "preprocess: scale: 255" in said
    if until > 3:
        assert "40/40 batches" in said
        assert "loss 0.25" in said
    if until == len(EVENTS):
        assert "3/7 samples" in said
        assert "1 min 15 s" in said


def test_a_log_gets_plain_lines() -> None:
    said = shown(EVENTS, terminal=False).splitlines()
    assert said == [
        "preprocess: scale: 255",
        "student: begins",
        "step key abc is held by process 7",
        "student: done in 1 min 15 s",
    ]


def test_machines_get_every_event() -> None:
    assert [json.loads(line) for line in shown(EVENTS, terminal=False, log_json=True).splitlines()] == EVENTS


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, "0.4 s"), (59.6, "60 s"), (61, "1 min 01 s"), (3900, "1 h 05 min")]
)
def test_durations_are_written_as_people_do(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words
