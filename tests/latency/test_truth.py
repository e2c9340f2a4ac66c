"""The arithmetic of benchmarks/latency_truth, by hand, and that a run goes on where it was."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "latency_truth"


@pytest.fixture(scope="module")
def summary() -> ModuleType:
    return module("summary")


def module(name: str) -> ModuleType:
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))
        for imported in ("nets", "summary"):
            sys.modules.pop(imported, None)


def test_how_often_an_interval_should_miss(summary: ModuleType) -> None:
    assert summary.missed(6) == pytest.approx(2 / 64, abs=1e-4)
    assert summary.missed(10) == pytest.approx(22 / 1024, abs=1e-4)


def test_how_often_a_repeat_should_agree(summary: ModuleType) -> None:
    """Of 6 and 6 values, the third of the second six lies below all of the first in 84 of 924 orders, its fourth in
    28: the first three or four places are the second's, and the rest is free.
    """
    found = summary.repeat_within(6)
    assert found["least"] == pytest.approx(1 - 2 * 84 / 924, abs=1e-4)
    assert found["most"] == pytest.approx(1 - 2 * 28 / 924, abs=1e-4)
    assert found["least"] < found["normal"] < found["most"]


def test_rates_carry_their_interval(summary: ModuleType) -> None:
    assert summary.rate([]) == {"count": 0, "of": 0, "share": None, "low": None, "high": None}
    found = summary.rate([True] + [False] * 9)
    assert (found["count"], found["of"], found["share"]) == (1, 10, 0.1)
    assert (found["low"], found["high"]) == (pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4))


def record(
    number: int, p50: float, twin: tuple[float, float, float], slow: tuple[float, float, float]
) -> dict[str, Any]:
    """One experiment, or the truth; each ratio as value, low, high."""
    speedups = {
        role: {"value": value, "low": low, "high": high, "at_least_1": "broken" if high < 1 else "open"}
        for role, (value, low, high) in {"twin": twin, "slower_2": slow, "slower_5": slow}.items()
    }
    return {
        "kind": "experiment", "net": "small", "condition": "alone", "number": number, "here": "here", "load": 0.5,
        "settings": {"processes": 10, "rounds": 30, "min_seconds": 1.0, "seed": number}, "seconds": 7.0, "steal": 0.0,
        "busy_rounds": 3, "rows": {"one": {"p50_ms": p50}}, "process_p50_ms": [p50 - 0.1] * 3 + [p50] * 4 + [p50 + 0.1] * 3, "speedups": speedups,
    }  # fmt: skip


def test_rates_by_hand(summary: ModuleType, tmp_path: Path) -> None:
    records = [
        {**record(0, 1.0, (1.0, 0.99, 1.01), (0.98, 0.979, 0.981)), "kind": "truth"},
        record(0, 1.0, (1.0, 0.99, 1.01), (0.98, 0.97, 0.99)),
        record(1, 1.05, (0.995, 0.99, 0.999), (0.99, 0.985, 1.01)),
        record(2, 1.3, (1.002, 1.001, 1.003), (0.99, 0.97, 0.995)),
    ]
    found = summary.summarised(records)["rates"]["small, alone"]
    counts = {name: (one["count"], one["of"]) for name, one in found.items() if isinstance(one, dict) and "of" in one}
    assert counts == {
        "equal_called_different": (2, 3),
        "equal_fails_speedup_of_1": (1, 3),
        "slower_2_called_slower": (2, 3),
        "slower_5_called_slower": (2, 3),
        "slower_2_called_faster": (0, 3),
        "slower_5_called_faster": (0, 3),
        "slower_2_interval_holds_truth": (2, 3),
        "slower_5_interval_holds_truth": (2, 3),
        "repeat_p50_agrees": (1, 2),
        "repeat_speedup_agrees": (1, 2),
    }
    assert found["busy_rounds"] == 0.1
    summary.write(records, tmp_path)
    assert "2 of 3" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "summary.json").read_text())["truth"]["small, alone"]["slower_2"]["value"] == 2.041


def test_a_run_goes_on_behind_its_last_whole_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = module("run")
    lines = tmp_path / "experiments.jsonl"
    asked: list[int] = []

    def one(files: object, settings: Any) -> dict[str, Any]:
        asked.append(settings.seed)
        made = record(settings.seed, 1.0, (1.0, 0.99, 1.01), (0.98, 0.97, 0.99))
        return {key: made[key] for key in ("settings", "rows", "speedups", "busy_rounds", "steal", "load", "seconds")}

    monkeypatch.setattr(run, "one", one)
    monkeypatch.setattr(run, "CONDITIONS", ("alone",))
    monkeypatch.setattr(run.nets, "write_all", lambda net, folder: {})
    run.measure(lines, 2)
    assert len(asked) == 3 * 3  # of each network the truth and two experiments
    lines.write_text(lines.read_text()[:-20])  # killed while it wrote the last one
    run.measure(lines, 3)
    assert asked[9:] == [1, 2, 2, 2]
    assert len(run.read(lines)) == 3 * 4
    monkeypatch.setattr(run, "about", lambda: "elsewhere")
    with pytest.raises(SystemExit, match="of another machine or version"):
        run.measure(lines, 4)
