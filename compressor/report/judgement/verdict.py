"""Statements from limits, and the verdict from statements.

A statement holds when its whole 95 % interval keeps the limit, is broken when the whole interval breaks it, and is
open otherwise. With `decide: point` the value alone decides. What is exact (a size, a count) has no interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compressor import statistics
from compressor.evaluation.quality import Finding
from compressor.report.contract.report import Limit, Needed, Statement, StatementState, VerdictState
from compressor.report.judgement.evidence import BOUNDS, Decide, Evidence
from compressor.report.judgement.measures import measure_of


def state_of(finding: Finding, limit: Limit, decide: Decide) -> StatementState:
    """Whether the value, or its whole interval, keeps the limit."""
    if finding.value is None:
        return "open"
    point = decide == "point" or finding.low is None or finding.high is None
    low = finding.value if point or finding.low is None else finding.low
    high = finding.value if point or finding.high is None else finding.high
    if limit.min is not None:
        return "holds" if low >= limit.min else "broken" if high < limit.min else "open"
    return "holds" if high <= limit.value else "broken" if low > limit.value else "open"


def statements(budget: Sequence[Mapping[str, Any]], evidence: Evidence, decide: Decide) -> tuple[Statement, ...]:
    """One statement a limit, in the order of the file. budget: `{measure, min | max | max_drop}` each."""
    found = []
    for entry in budget:
        for kind in BOUNDS:
            if entry.get(kind) is not None:
                limit = Limit(**{kind: float(entry[kind])})
                found.append(_statement(str(entry["measure"]), limit, evidence, decide))
    return tuple(found)


def verdict_of(found: Sequence[Statement]) -> VerdictState:
    """fail where one is broken, undecided where one is open, pass where all hold, measured where there is none."""
    states = {statement.state for statement in found}
    if not states:
        return "measured"
    return "fail" if "broken" in states else "undecided" if "open" in states else "pass"


def _statement(measure: str, limit: Limit, evidence: Evidence, decide: Decide) -> Statement:
    finding = finding_of(measure, limit, evidence)
    state = state_of(finding, limit, decide)
    how = finding.how
    if decide == "point" and finding.low is not None:
        how += "; decided by the value alone"
    return Statement(
        measure=measure,
        limit=limit,
        value=finding.value,
        low=finding.low,
        high=finding.high,
        state=state,
        how=how,
        needed=_needed(finding, limit) if state == "open" else None,
    )


def _needed(finding: Finding, limit: Limit) -> Needed | None:
    n = finding.needed
    if finding.interval_at is not None:
        n = statistics.samples_needed(finding.interval_at, finding.n, limit.value)
    if n is None or not finding.unit:
        return None
    return Needed(samples=n) if finding.unit == "samples" else Needed(processes=n)


def finding_of(measure: str, limit: Limit, evidence: Evidence) -> Finding:
    """The finding that a limit is about; its value is None where nothing was measured."""
    if limit.max_drop is not None:
        return evidence.drops.get(measure) or Finding(None, how=f"no drop of {measure} was measured")
    return measure_of(measure, {}).find(evidence)
