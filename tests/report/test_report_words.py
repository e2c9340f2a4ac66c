"""Numbers as people read them, by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from compressor.report.contract.report import Limit, MetricFacts, Report, Statement
from compressor.report.judgement import words
from compressor.report.judgement.measures import MEASURES

S = words.FIXED


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.412, "0.412"), (0.41249, "0.412"), (12.34, "12.3"), (123.4, "123"), (1234.0, "1,234"), (999.0, "999"),
        (1000.0, "1,000"), (0.5, "0.500"), (1.0, "1.00"), (10.0, "10.0"), (100.0, "100"), (0.05, "0.0500"),
        (-0.5, "−0.500"), (0.0, "0"), (0.00001234, "0.00001234"), (1234567.8, "1,234,568"), (99.96, "100"),
    ],
)  # fmt: skip
def test_three_significant_digits(value: float, text: str) -> None:
    assert words.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (640, "640"), (999, "999"), (1_000, f"1.00{S}k"), (78_100, f"78.1{S}k"), (999_999, f"1,000{S}k"),
        (12_500_000, f"12.5{S}M"), (1_000_000, f"1.00{S}M"), (2_500_000_000, f"2.50{S}G"), (0, "0"),
    ],
)  # fmt: skip
def test_counts_in_short(value: float, text: str) -> None:
    assert words.count(value) == text


def test_drops_are_points_and_gains_are_below_zero() -> None:
    assert words.drop("share", 0.0042) == f"0.42{S}points"
    assert words.drop("share", -0.0042) == f"−0.42{S}points"
    assert words.drop("", 0.25) == "0.250"
    assert words.drop("", None) == words.NONE


def test_spans() -> None:
    assert words.span("share", 0.929, 0.9725) == f"92.90 to 97.25{S}%"
    assert words.span("share", -0.01, 0.03, is_drop=True) == f"−1.00 to 3.00{S}points"
    assert words.span("ms", 0.4, 0.5, bare=True) == "0.400 to 0.500"
    assert words.span("share", None, 0.5) == words.span("share", 0.5, None) == words.NONE


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("latency_p50_ms", 0.4123, "0.412 ms"), ("latency_p50_ms", 12.34, "12.3 ms"), ("size_mb", 0.079, "0.0790 MB"),
        ("speedup", 4.0, "4.00×"), ("macs", 12_501_000, "12.5 M"), ("params", 640, "640"),
        ("latency_p50_ms", 1234.5, "1,234 ms"), ("latency_p50_ms", None, "—"), ("size_mb", 3.4512, "3.45 MB"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(measure: str, value: float | None, text: str) -> None:
    assert words.number(MEASURES[measure].unit, value).replace(words.FIXED, " ") == text


def test_metrics_are_written_as_they_say() -> None:
    assert words.number("share", 0.9339) == f"93.39{S}%"
    assert words.number("", -0.5) == "−0.500"
    assert (words.change("share", -0.0028), words.change("share", 0.001)) == (f"−0.28{S}points", f"+0.10{S}points")


@pytest.mark.parametrize(
    ("measure", "given", "subject", "text"),
    [
        ("accuracy", {"min": 0.95}, "accuracy", "at least 95 %"),
        ("accuracy", {"max_drop": 0.03}, "drop in accuracy", "at most 3 points below the baseline"),
        ("log_loss", {"max": 0.3}, "log loss", "at most 0.3"),
        ("log_loss", {"max_drop": 0.02}, "rise in log loss", "at most 0.02 above the baseline"),
        ("error_rate", {"max_drop": 0.02}, "rise in error rate", "at most 2 points above the baseline"),
        ("size_mb", {"max": 0.2}, "file size", "at most 0.2 MB"),
        ("speedup", {"min": 4}, "speed-up over the baseline", "at least 4×"),
        ("params", {"max": 78_000}, "parameters", "at most 78,000"),
    ],
)
def test_limits_are_written_for_people(
    report: Report, measure: str, given: Mapping[str, float], subject: str, text: str
) -> None:
    lower = {"log_loss": MetricFacts(better="lower"), "error_rate": MetricFacts(better="lower", unit="share")}
    task = report.task.model_copy(update={"metrics": {**report.task.metrics, **lower}})
    one = Statement(measure=measure, limit=Limit(**given), value=None, low=None, high=None, state="open", how="")
    about = report.model_copy(update={"task": task})
    assert words.limit(one, about).replace(words.FIXED, " ") == text
    assert words.subject(one, about) == subject
