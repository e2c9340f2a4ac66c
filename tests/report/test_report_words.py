"""Numbers as people read them, by hand."""

from __future__ import annotations

import pytest

from compressor.report.judgement import words

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
    assert words.drop("accuracy", 0.0042) == f"0.42{S}points"
    assert words.drop("accuracy", -0.0042) == f"−0.42{S}points"
    assert words.drop("loss", 0.25) == "0.250"
    assert words.drop("loss", None) == words.NONE


def test_spans() -> None:
    assert words.span("accuracy", 0.929, 0.9725) == f"92.90 to 97.25{S}%"
    assert words.span("accuracy", -0.01, 0.03, is_drop=True) == f"−1.00 to 3.00{S}points"
    assert words.span("latency_p50_ms", 0.4, 0.5, unit=False) == "0.400 to 0.500"
    assert words.span("accuracy", None, 0.5) == words.span("accuracy", 0.5, None) == words.NONE
