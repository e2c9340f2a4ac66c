"""What is seen while a run goes on: a live line on a terminal, plain lines elsewhere, JSON for machines."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from compressor.cli import progress
from compressor.cli.console import Console

EVENTS: list[dict[str, Any]] = [
    {"event": "say", "node": "", "text": "preprocess: scale: 255"},
    {"event": "step", "node": "student", "stage": "distill"},
    {"event": "progress", "node": "student", "done": 1, "total": 40, "unit": "batches", "numbers": {"loss": 2.5}},
    {"event": "progress", "node": "student", "done": 40, "total": 40, "unit": "batches", "numbers": {"loss": 0.25}},
    {"event": "progress", "node": "student", "done": 3, "total": 7, "unit": "samples", "numbers": {}},
    {"event": "waiting", "text": "step key abc is held by process 7"},
    {"event": "done", "node": "student", "seconds": 75.0},
]


TRAINING = {"loss": 0.181, "learning_rate": 0.0466, "accuracy": 0.975}


def line(width: int, seconds: dict[int, float], node: str = "teacher", total: int = 140) -> str:
    """The live line after progress events: batches done -> the second they were seen at, the last one being now."""
    now = 0.0
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    live = progress.Live(console)
    live._bars.get_time = lambda: now
    live({"event": "step", "node": node})
    for done, now in seconds.items():  # noqa: B007, the clock reads it
        if done:
            numbers = {"event": "progress", "unit": "batches", "numbers": TRAINING}
            live({**numbers, "node": node, "done": done, "total": total})
    with console.capture() as captured:
        console.print(live._bars.get_renderable())
    (only,) = captured.get().splitlines()
    return only


@pytest.mark.parametrize(
    ("width", "last", "left_out"),
    [
        (80, "accuracy 97.50 %", "batches/s"),
        (100, "12 batches/s", "learning rate"),
        (120, "learning rate 0.0466", "…"),
    ],
)
def test_a_training_line_fits_and_leaves_the_least_out(width: int, last: str, left_out: str) -> None:
    said = line(width, {14: 1.0, 74: 6.0})
    assert len(said) <= width
    assert re.search(r"teacher [━╸╺]+ +74/140 batches 6 s left loss 0\.181  accuracy 97\.50 %", said)
    assert said.rstrip().endswith(last)
    assert left_out not in said


def test_a_long_run_s_line_is_whole_at_80_columns() -> None:
    said = line(80, {300: 60.0, 12345: 360.0}, "student", 78_000)
    assert re.search(r"student [━╸╺]+ +12345/78000 batches 27 min left loss 0\.181  accuracy 97\.50 %", said)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ({0: 5.0}, "5 s so far"),
        ({0: 200.0}, "3 min so far"),
        ({1: 5.0}, "5 s so far"),
        ({1: 1.0, 2: 2.0}, "2 min left"),
        ({1: 1.0, 2: 200.0}, "7.6 h left"),
        ({1: 1.0, 140: 90.0}, "2 min so far"),
    ],
)
def test_time_is_left_only_where_that_is_known(seconds: dict[int, float], words: str) -> None:
    said = line(80, seconds)
    assert f" {words} " in said
    assert said.count(" left") + said.count(" so far") == 1


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


def test_now_and_then_a_log_says_how_far_a_step_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.PlainLines, "EVERY_SECONDS", 0.0)
    event = {"event": "progress", "node": "a", "done": 7, "total": 9, "unit": "batches", "numbers": TRAINING}
    assert shown([event], terminal=False) == "a: 7/9 batches  loss 0.181  learning rate 0.0466  accuracy 97.50 %\n"
