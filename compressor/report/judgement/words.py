"""Values and states in the words that a person who signs would use. Text in, text out; nothing is escaped here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compressor.evaluation.quality import Measured
from compressor.report.contract.report import Report, Statement, VerdictState
from compressor.report.contract.rows import LatencyRow, ModelRow
from compressor.report.judgement.measures import Measure, Unit, measure_of

NONE = "—"
FIXED = "\u00a0"
"""A space that no line ends at, between a number and its unit."""

TITLES: dict[VerdictState, str] = {
    "pass": "Pass",
    "fail": "Fail",
    "undecided": "Undecided",
    "measured": "Measured",
}


def label(measure: str) -> str:
    """A measure's name for people."""
    return measure_of(measure, {}).label


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent: 0.412, 12.3, 1,234, −0.5."""
    if value <= 0:
        return f"−{significant(-value, digits)}" if value else "0"
    text = f"{value:.{digits}g}"
    if "e" in text or value >= 10**digits:
        return f"{value:,.0f}" if value >= 1 else f"{value:.{digits + 5}f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    missing = digits - len((whole + decimals).lstrip("0."))
    return text if missing <= 0 or value >= 10 ** (digits - 1) else f"{value:.{len(decimals) + missing}f}"


def count(value: float) -> str:
    """A large count in short: 12.5 M, 78.1 k, 640."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{significant(value / size)}{FIXED}{unit}"
    return f"{value:,.0f}"


def number(unit: Unit, value: float | None, *, bare: bool = False) -> str:
    """A value with its unit, or bare: `93.39 %`, `0.412 ms`, `0.193 MB`, `4.21×`, `78.1 k`."""
    if value is None:
        return NONE
    if unit == "count":
        return count(value)
    return f"{f'{100 * value:.2f}' if unit == 'share' else significant(value)}{'' if bare else _behind(unit)}"


def _behind(unit: Unit) -> str:
    return "" if unit == "count" else unit if unit in ("", "×") else f"{FIXED}{'%' if unit == 'share' else unit}"


def drop(unit: Unit, value: float | None) -> str:
    """A drop against the baseline: `0.42 points` for shares; below zero it is a gain."""
    if value is None:
        return NONE
    return f"{_points(value)}{FIXED}points" if unit == "share" else significant(value)


def _points(value: float) -> str:
    return f"{100 * value:.2f}".replace("-", "−")


def span(unit: Unit, low: float | None, high: float | None, *, is_drop: bool = False, bare: bool = False) -> str:
    """An interval: `92.90 to 97.25 %`; a dash where there is none."""
    if low is None or high is None:
        return NONE
    if is_drop and unit == "share":
        return f"{_points(low)} to {_points(high)}{'' if bare else f'{FIXED}points'}"
    return f"{number(unit, low, bare=True)} to {number(unit, high, bare=bare)}"


def measured(statement: Statement, report: Report) -> Measure:
    """The measure that a statement is about."""
    return measure_of(statement.measure, report.task.metrics)


def unit(report: Report, metric: str) -> Unit:
    """What stands behind a metric's values."""
    return measure_of(metric, report.task.metrics).unit


def limit(statement: Statement, report: Report) -> str:
    """A limit: `at least 95 %`, `at most 0.2 MB`, `at most 3 points below the baseline`."""
    given, measure = statement.limit, measured(statement, report)
    share = measure.unit == "share"
    amount = f"{given.value:,.0f}" if measure.unit == "count" else f"{100 * given.value if share else given.value:g}"
    if given.max_drop is not None:
        where = "below" if measure.better == "higher" else "above"
        return f"at most {amount}{f'{FIXED}points' if share else ''} {where} the baseline"
    return f"{'at least' if given.min is not None else 'at most'} {amount}{_behind(measure.unit)}"


def subject(statement: Statement, report: Report) -> str:
    """What a statement is about: `accuracy`, `drop in accuracy`, `rise in log loss`."""
    measure = measured(statement, report)
    if statement.limit.max_drop is None:
        return measure.label
    return f"{'drop' if measure.better == 'higher' else 'rise'} in {measure.label}"


def samples_of(statement: Statement, report: Report) -> str:
    """`8,000 unseen samples` where a statement is about a part of the test set, else nothing."""
    ship = report.row(report.verdict.ship)
    unseen = ship.quality_unseen.get(statement.measure) if ship is not None and ship.quality_unseen else None
    return f"{unseen.n:,} unseen samples" if unseen else ""


def value(statement: Statement, report: Report) -> str:
    """A statement's measured value."""
    shown = number if statement.limit.max_drop is None else drop
    return shown(measured(statement, report).unit, statement.value)


def interval(statement: Statement, report: Report) -> str:
    """A statement's interval: `exact` for what is counted, a dash where nothing was measured."""
    measure = measured(statement, report)
    if statement.value is not None and statement.low is None:
        return "exact" if measure.exact else "none"
    return span(measure.unit, statement.low, statement.high, is_drop=statement.limit.max_drop is not None)


def why(statement: Statement, decide: str) -> str:
    """Why a statement has its state, and what would decide an open one."""
    if statement.value is None:
        return f"not measured: {statement.how}"
    if statement.state == "open":
        return f"the limit lies inside the interval; {needed(statement)}"
    by_value = statement.low is None or decide == "point"
    what = "the value" if by_value else "the whole interval"
    return f"{what} {'keeps' if statement.state == 'holds' else 'breaks'} the limit"


def needed(statement: Statement) -> str:
    """How many samples, processes or rounds would decide an open statement."""
    given = statement.needed
    if given is None:
        return "the value is so near the limit that no number of samples would decide it"
    if given.samples is not None:
        return f"about {given.samples:,} test samples with the same shares would decide it"
    if given.processes is not None:
        return f"about {given.processes:,} processes with the same spread would decide it"
    return f"about {given.rounds:,} rounds with the same spread would decide it"


def headline(report: Report) -> str:
    """The verdict in one sentence."""
    verdict = report.verdict
    total = len(verdict.statements)
    broken = [subject(one, report) for one in verdict.statements if one.state == "broken"]
    unsure = [subject(one, report) for one in verdict.statements if one.state == "open"]
    alone = ", by the values alone" if report.details.decide == "point" else ""
    if verdict.state == "pass":
        return f"{verdict.ship} keeps {'its one limit' if total == 1 else f'all {total} limits'} of the budget{alone}."
    if verdict.state == "fail":
        return f"{verdict.ship} breaks {len(broken)} of {total} limits{alone}: {', '.join(broken)}."
    if verdict.state == "undecided":
        return f"{verdict.ship} breaks no limit, but {len(unsure)} of {total} cannot be decided: {', '.join(unsure)}."
    if verdict.ship is None:
        return "No bundle was made: figures, and no verdict."
    return f"{verdict.ship} was measured; the file sets no budget, so there is no verdict."


def condition(row: LatencyRow | None) -> str:
    """The conditions of a latency: `1 thread, batch 1`."""
    return "" if row is None else f"{row.threads} thread{'' if row.threads == 1 else 's'}, batch {row.batch}"


def first_latency(row: ModelRow | None) -> LatencyRow | None:
    """The row of the first thread count and batch size, which the budget is about."""
    return row.latency[0] if row is not None and row.latency else None


def quality(row: ModelRow | None, metric: str) -> Measured | None:
    """A model's quality in one metric over the whole test set."""
    return row.quality.get(metric) if row is not None and row.quality else None


def decisive_quality(row: ModelRow | None, metric: str) -> Measured | None:
    """The quality that statements are about: on unseen test samples where choices were made on others."""
    unseen = row.quality_unseen.get(metric) if row is not None and row.quality_unseen else None
    return unseen or quality(row, metric)


def machine(about: Mapping[str, Any]) -> str:
    """A machine in one line: processor, and its instruction set where known."""
    known = isa(about)
    return f"{about.get('cpu') or 'an unknown processor'}{f' ({known})' if known else ''}"


def bits(row: ModelRow | None, most: int = 4) -> str:
    """`proven`, or `not proven, because layer_norm (float), …`; empty for float models, where nothing is claimed."""
    if row is None or row.bits is None or row.precision == "float32":
        return ""
    if row.bits.proven:
        return "proven"
    shown, more = row.bits.because[:most], len(row.bits.because) - most
    return f"not proven, because {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"


def isa(about: Mapping[str, Any]) -> str:
    """A machine's instruction set as text."""
    given = about.get("isa") or ""
    return " ".join(map(str, given)) if isinstance(given, list | tuple) else str(given)


def change(unit: Unit, by: float) -> str:
    """How a value changed, with its sign: `−0.28 points`, `+0.10 points`."""
    return f"{'+' if by > 0 else '−' if by < 0 else '±'}{drop(unit, abs(by))}"


def when(created: str) -> str:
    """A time as `2026-11-22 12:00 UTC`; what is no ISO time stays as it is."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return time.strftime("%Y-%m-%d %H:%M ") + (time.tzname() or "")


def duration(seconds: float) -> str:
    """A duration: `0.8 s`, `42 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def share(value: float | None, digits: int = 2) -> str:
    """A share in percent, which says 100 % only of all: `98.20 %`, `> 99.9 %`."""
    if value is None:
        return NONE
    most = 100 - 10**-digits
    return f">{FIXED}{most:.{digits}f}{FIXED}%" if most < 100 * value < 100 else f"{100 * value:.{digits}f}{FIXED}%"


def plain(value: str | int | float | bool) -> str:
    """A single fact: yes and no, a short number, or the text itself."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else value
