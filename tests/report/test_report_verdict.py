"""Statements and the verdict, one case a rule."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import statistics
from compressor.report.contract.report import Limit, Statement
from compressor.report.contract.rows import LatencyRow, ModelRow
from compressor.report.judgement import words
from compressor.report.judgement.evidence import Evidence, Finding
from compressor.report.judgement.verdict import state_of, statements, verdict_of


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
        ({"max": 1.0}, 1.0, 1.1, "open"),
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
    assert found.low is None
    assert verdict_of([found]) == "undecided"


def test_a_report_that_decides_by_the_value_says_so_where_there_is_an_interval() -> None:
    evidence = Evidence(shipped=row(latency=[LATENCY], size_bytes=1_000_000), baseline=None)
    budget = [{"measure": "latency_p50_ms", "max": 0.51}, {"measure": "size_mb", "max": 1}]
    timed, exact = statements(budget, evidence, "point")
    assert (timed.state, exact.state) == ("holds", "holds")
    assert timed.how.endswith("order-statistic interval and 0.5% for the machine's pace; decided by the value alone")
    assert exact.how == "size of model.onnx, exact; 1 MB is 10^6 bytes"
    timed, exact = statements(budget, evidence, "interval")
    assert timed.how.endswith("1 thread, batch 1; order-statistic interval and 0.5% for the machine's pace")


@pytest.mark.parametrize(("low", "high"), [(None, 0.53), (0.48, None)])
def test_half_an_interval_is_none(low: float | None, high: float | None) -> None:
    assert state_of(Finding(0.5, low, high), Limit(max=0.5), "interval") == "holds"
    assert state_of(Finding(0.5, low, high), Limit(min=0.5), "interval") == "holds"
    timed = LATENCY.model_copy(update={"low_ms": low, "high_ms": high})
    found = measured("latency_p50_ms", row(latency=[timed]))
    assert (found.low, found.high, found.how) == (
        None,
        None,
        "median, 1 thread, batch 1; too few processes for an interval",
    )


def measured(measure: str, shipped: ModelRow, baseline: ModelRow | None = None) -> Statement:
    (found,) = statements([{"measure": measure, "max": 100}], Evidence(shipped=shipped, baseline=baseline), "interval")
    return found


@pytest.mark.parametrize(
    ("samples", "processes", "needed"), [(10, 10, 1_000), (600, 10, 17), (1, 1, 1_000), (0, 10, None), (10, 0, None)]
)
def test_a_p99_needs_a_thousand_runs(samples: int, processes: int, needed: int | None) -> None:
    """In processes of samples / processes runs each."""
    timed = LATENCY.model_copy(update={"samples": samples, "processes": processes})
    found = measured("latency_p99_ms", row(latency=[timed]))
    assert (None if found.needed is None else found.needed.processes) == needed
    assert found.how.startswith(f"{samples} runs carry no p99, which needs at least 1,000: ")


def test_a_p99_that_is_there_is_judged_by_its_value() -> None:
    found = measured("latency_p99_ms", row(latency=[LATENCY.model_copy(update={"p99_ms": 2.5, "threads": 4})]))
    assert (found.value, found.low, found.state) == (2.5, None, "holds")
    assert found.how == "99th percentile of 600 runs, 4 threads, batch 1; the value alone"


def test_what_is_missing_in_a_row_was_not_measured() -> None:
    timed = LATENCY.model_copy(update={"p50_ms": None, "peak_memory_bytes": None})
    assert measured("latency_p50_ms", row(latency=[timed])).how == "no latency was measured"
    assert measured("peak_memory_mb", row(latency=[timed])).how == "no peak memory was measured"
    assert measured("peak_memory_mb", row(latency=None)).how == "no peak memory was measured"
    assert measured("latency_p99_ms", row(latency=[])).how == "no latency was measured"
    assert (measured("size_mb", row()).value, measured("macs", row()).value) == (None, None)


@pytest.mark.parametrize(
    ("size", "before", "ratio"), [(250, 1_000, 4.0), (1, 3, 3.0), (None, 1_000, None), (250, None, None), (0, 9, None)]
)
def test_the_ratio_of_two_sizes(size: int | None, before: int | None, ratio: float | None) -> None:
    found = measured("size_ratio", row(size_bytes=size), row(size_bytes=before))
    assert found.value == ratio
    assert measured("size_ratio", row(size_bytes=size)).value is None


def test_what_is_needed_is_counted_in_what_was_counted() -> None:
    """±0.25 around 1/2 at 16 must shrink below ±1/8 for the limit 5/8: 64, and one more."""
    at = statistics.scaled(statistics.Interval(0.5, 0.25, 0.75), 16)

    def needed(**facts: Any) -> Any:
        quality = {"accuracy": Finding(0.5, 0.25, 0.75, "q", 16, **facts)}
        (found,) = statements([{"measure": "accuracy", "min": 0.625}], Evidence(row(), None, quality), "interval")
        assert found.state == "open"
        return found.needed

    assert needed(unit="samples", interval_at=at).model_dump() == {"samples": 65}
    assert needed(unit="processes", interval_at=at).model_dump() == {"processes": 65}
    assert needed(unit="samples") is None
    assert needed(interval_at=at) is None
    drop = Finding(0.0, -0.1, 0.1, "d", 16, "samples", at)
    (found,) = statements(
        [{"measure": "accuracy", "max_drop": 0.2}], Evidence(row(), None, {}, {"accuracy": drop}), "interval"
    )
    assert (found.state, found.needed) == ("holds", None)


def test_limits_of_one_measure_keep_their_own_evidence() -> None:
    evidence = Evidence(row(params=7, macs=9), None, speedup=Finding(3.0, 2.5, 3.5, "s"))
    found = statements(
        [{"measure": "speedup", "min": 2.5}, {"measure": "params", "max": 7}, {"measure": "macs", "max": 8}],
        evidence,
        "interval",
    )
    assert [(one.value, one.state) for one in found] == [(3.0, "holds"), (7, "holds"), (9, "broken")]
    assert Evidence(row(), None).speedup is None
    assert measured("speedup", row()).how == "baseline and shipped model were not timed in the same rounds"
    (missing,) = statements([{"measure": "accuracy", "max_drop": 0.1}], Evidence(row(), None), "interval")
    assert (missing.state, missing.how) == ("open", "no drop of accuracy was measured")
