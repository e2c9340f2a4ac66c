"""Statements and the verdict, one case a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.report import statistics, words
from compressor.report.report import Limit, Statement
from compressor.report.rows import LatencyRow, ModelRow
from compressor.report.verdict import Evidence, Finding, state_of, statements, verdict_of


def row(**facts: Any) -> ModelRow:
    return ModelRow(step="edge", stage="export", kind="onnx", key="k", reused=False, **facts)


LATENCY = LatencyRow(
    threads=1,
    batch=1,
    p50_ms=0.5,
    low_ms=0.48,
    high_ms=0.53,
    rounds=30,
    processes=10,
    samples=600,
    peak_memory_bytes=61_500_000,
)


@pytest.mark.parametrize(
    ("limit", "low", "high", "state"),
    [
        ({"min": 0.95}, 0.95, 0.98, "holds"),
        ({"min": 0.95}, 0.94, 0.98, "open"),
        ({"min": 0.95}, 0.90, 0.9499, "broken"),
        ({"min": 0.95}, 0.90, 0.95, "open"),
        ({"max": 1.0}, 0.9, 1.0, "holds"),
        ({"max": 1.0}, 0.9, 1.1, "open"),
        ({"max": 1.0}, 1.01, 1.1, "broken"),
        ({"max_drop": 0.03}, -0.01, 0.03, "holds"),
        ({"max_drop": 0.03}, 0.02, 0.04, "open"),
        ({"max_drop": 0.03}, 0.031, 0.04, "broken"),
    ],
)
def test_the_whole_interval_decides(limit: dict[str, float], low: float, high: float, state: str) -> None:
    assert state_of(Finding((low + high) / 2, low, high), Limit(**limit), "interval") == state


def test_the_value_alone_decides_where_the_file_says_so() -> None:
    finding = Finding(0.96, 0.94, 0.98)
    assert state_of(finding, Limit(min=0.95), "interval") == "open"
    assert state_of(finding, Limit(min=0.95), "point") == "holds"
    assert state_of(finding, Limit(min=0.97), "point") == "broken"


def test_what_is_exact_is_decided_by_its_value() -> None:
    evidence = Evidence(shipped=row(size_bytes=200_000, params=1_000, macs=2_000), baseline=row(size_bytes=800_000))
    budget = [
        {"measure": "size_mb", "max": 0.2},
        {"measure": "params", "max": 999},
        {"measure": "size_ratio", "min": 4},
    ]
    found = statements(budget, evidence, "interval")
    assert [(one.value, one.state, one.low) for one in found] == [
        (0.2, "holds", None),
        (1000, "broken", None),
        (4, "holds", None),
    ]


def test_latency_is_judged_by_its_first_row_and_interval() -> None:
    evidence = Evidence(
        shipped=row(latency=[LATENCY, LATENCY.model_copy(update={"threads": 2, "p50_ms": 9.0})]), baseline=None
    )
    budget = [{"measure": "latency_p50_ms", "max": 0.5}, {"measure": "peak_memory_mb", "max": 62}]
    p50, memory = statements(budget, evidence, "interval")
    assert (p50.value, p50.low, p50.high, p50.state) == (0.5, 0.48, 0.53, "open")
    assert p50.needed is None  # the value is the limit: no number of processes decides it
    assert (memory.value, memory.state) == (61.5, "holds")


def test_an_open_latency_says_how_many_processes_would_decide() -> None:
    evidence = Evidence(shipped=row(latency=[LATENCY]), baseline=None)
    (one,) = statements([{"measure": "latency_p50_ms", "max": 0.51}], evidence, "interval")
    assert one.state == "open"
    assert one.needed is not None
    assert one.needed.processes in (90, 91)  # 0.03 above the value must shrink to less than 0.01: nine times as many
    assert one.model_dump()["needed"] == {"processes": one.needed.processes}
    assert words.needed(one) == f"about {one.needed.processes} processes with the same spread would decide it"


def test_too_few_runs_for_a_p99_say_how_many_processes_would_do() -> None:
    (p99,) = statements(
        [{"measure": "latency_p99_ms", "max": 1}], Evidence(shipped=row(latency=[LATENCY]), baseline=None), "interval"
    )
    assert (p99.value, p99.state) == (None, "open")
    assert p99.needed is not None
    assert "600 runs carry no p99" in p99.how
    assert p99.needed.processes == 17  # 600 runs in 10 processes are 60 in each


def test_one_process_has_no_interval() -> None:
    single = LATENCY.model_copy(update={"processes": 1, "low_ms": None, "high_ms": None})
    evidence = Evidence(shipped=row(latency=[single]), baseline=None)
    (one,) = statements([{"measure": "latency_p50_ms", "max": 0.51}], evidence, "interval")
    assert (one.state, one.low, one.how) == (
        "holds",
        None,
        "median, 1 thread, batch 1; too few processes for an interval",
    )


@pytest.mark.parametrize("measure", ["latency_p99_ms", "speedup", "accuracy", "latency_p50_ms"])
def test_what_was_not_measured_is_open_and_says_so(measure: str) -> None:
    evidence = Evidence(shipped=row(latency=None), baseline=None)
    (one,) = statements([{"measure": measure, "min": 1}], evidence, "interval")
    assert (one.value, one.state, one.needed) == (None, "open", None)
    assert one.how


def test_one_measure_with_two_limits_makes_two_statements() -> None:
    quality = Finding(0.96, 0.955, 0.97, "q")
    drop = Finding(0.01, -0.01, 0.04, "d", 360, "samples", lambda n: statistics.tango(0.02 * n, 0.01 * n, n))
    evidence = Evidence(shipped=row(), baseline=None, quality={"accuracy": quality}, drops={"accuracy": drop})
    found = statements([{"measure": "accuracy", "min": 0.95, "max_drop": 0.03}], evidence, "interval")
    assert [(one.limit.model_dump(), one.state) for one in found] == [
        ({"min": 0.95}, "holds"),
        ({"max_drop": 0.03}, "open"),
    ]
    assert found[1].needed is not None
    assert found[1].needed.samples is not None
    assert found[1].needed.samples > 360


def _statement(state: Any) -> Statement:
    return Statement(measure="size_mb", limit=Limit(max=1), value=1, low=None, high=None, state=state, how="")


@given(st.lists(st.sampled_from(["holds", "open", "broken"])))
def test_the_verdict_follows_the_gravest_statement(states: list[str]) -> None:
    expected = (
        "measured" if not states else "fail" if "broken" in states else "undecided" if "open" in states else "pass"
    )
    assert verdict_of([_statement(state) for state in states]) == expected


def test_a_limit_is_one_limit() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Limit(min=1, max=2)


def test_multiplications_that_nobody_can_count_leave_their_limit_open_and_say_why() -> None:
    why = "the multiplications of `odd` (its:Own) cannot be counted: nobody here can say what it multiplies"
    budget = [{"measure": "macs", "max": 1_000}]
    (found,) = statements(budget, Evidence(row(macs=None, macs_unknown=why), row()), "interval")
    assert (found.state, found.value, found.how) == ("open", None, why)
    assert words.interval(found) != "exact"
    assert verdict_of([found]) == "undecided"
