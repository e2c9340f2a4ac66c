"""Numbers of parity, by cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compressor.errors import StepError
from compressor.onnx_graph import parity


def test_numbers_by_hand() -> None:
    found = parity.numbers(np.array([[3.0, 4.0]]), np.array([[3.0, 3.0]]))
    assert found["max_abs"] == 1
    assert found["max_rel"] == 0.25
    assert found["cosine"] == pytest.approx((9 + 12) / (5 * math.sqrt(18)))
    assert found["sqnr_db"] == pytest.approx(10 * math.log10(25 / 1))


def test_equal_outputs_get_the_ceiling_and_stay_finite() -> None:
    same = np.array([1.0, -2.0])
    assert parity.numbers(same, same) == {"max_abs": 0, "max_rel": 0, "cosine": pytest.approx(1), "sqnr_db": 200}


@pytest.mark.parametrize("other", [[0.0, 0.0], [1.0, 0.0]])
def test_a_reference_of_zeros_gives_finite_numbers(other: list[float]) -> None:
    assert all(map(math.isfinite, parity.numbers(np.zeros(2), np.array(other)).values()))


@pytest.mark.parametrize(
    ("reference", "other", "max_rel", "cosine", "sqnr_db"),
    [
        ([0.0, 0.0], [0.0, 0.0], 0.0, 1.0, 200.0),  # nothing differs
        ([0.0, 0.0], [0.0, 3.0], 1.0, 0.0, -200.0),  # all of it is noise
        ([0.0, 0.0], [0.0, -0.25], 1.0, 0.0, -200.0),
        ([3.0, 4.0], [0.0, 0.0], 1.0, 0.0, 0.0),  # the error is as large as the signal: 10 log10(25 / 25)
        ([3.0, 4.0], [6.0, 8.0], 1.0, 1.0, 0.0),
        ([10.0, 0.0], [10.0, 1.0], 0.1, 10 / math.sqrt(101), 20.0),  # 10 log10(100 / 1)
        ([1.0, 0.0], [1.0, 10.0], 10.0, 1 / math.sqrt(101), -20.0),  # 10 log10(1 / 100)
        ([1.0, 0.0], [1.0, 1e-12], 1e-12, 1.0, 200.0),  # 240 dB, beyond the ceiling
        ([1e-12, 0.0], [1e-12, 1.0], 1e12, 1e-12, -200.0),
    ],
)
def test_every_number_by_hand(
    reference: list[float], other: list[float], max_rel: float, cosine: float, sqnr_db: float
) -> None:
    found = parity.numbers(np.array(reference), np.array(other))
    assert found["max_abs"] == max(abs(a - b) for a, b in zip(reference, other, strict=True))
    assert found["max_rel"] == pytest.approx(max_rel)
    assert found["cosine"] == pytest.approx(cosine)
    assert found["sqnr_db"] == pytest.approx(sqnr_db, abs=1e-9)


def test_a_thousandth_of_the_range_passes_and_more_does_not() -> None:
    assert parity.check_float(np.array([1024.0]), np.array([1025.0]), "")["max_rel"] == 1 / 1024  # 0.00098
    with pytest.raises(StepError):
        parity.check_float(np.array([512.0]), np.array([513.0]), "")  # 0.00195


def test_no_samples_all_agree() -> None:
    assert parity.agreement(np.zeros((0, 3)), np.zeros((0, 3)), lambda one: one.argmax(1)) == {
        "same_answers": 1.0,
        "n": 0,
    }


def test_opposite_outputs_have_a_cosine_of_minus_one() -> None:
    assert parity.numbers(np.array([1.0, 2.0]), np.array([-1.0, -2.0]))["cosine"] == pytest.approx(-1)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        parity.numbers(np.zeros(2), np.zeros(3))


def test_answers_are_the_tasks() -> None:
    reference, other = np.eye(4), np.eye(4)[[0, 1, 2, 2]]
    found = parity.compare(reference, other, lambda outputs: outputs.argmax(1))
    assert (found["same_answers"], found["n"]) == (0.75, 4)


def test_rounding_passes_and_a_wrong_graph_does_not() -> None:
    outputs = np.array([[10.0, -5.0]])
    parity.check_float(outputs, outputs + 1e-5, "")
    with pytest.raises(StepError, match=r"0\.002 of their range from torch's"):
        parity.check_float(outputs, outputs + 0.02, "")
    with pytest.raises(StepError, match="not finite"):
        parity.check_float(outputs, outputs * np.nan, "")


def test_a_thousandth_itself_passes() -> None:
    assert parity.check_float(np.array([-1000.0, 0.0]), np.array([-1001.0, 0.0]), "")["max_rel"] == 0.001


def test_the_scale_is_the_references() -> None:
    """2 and 4 differ by 2: all of the one, half of the other."""
    first = parity.compare(np.array([[2.0]]), np.array([[4.0]]), lambda outputs: outputs[:, 0])
    other = parity.compare(np.array([[4.0]]), np.array([[2.0]]), lambda outputs: outputs[:, 0])
    assert (first["max_rel"], other["max_rel"], first["same_answers"], first["n"]) == (1.0, 0.5, 0.0, 1)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_one_number_that_is_not_finite_is_enough(wrong: float) -> None:
    right, broken = np.array([1.0, 2.0]), np.array([1.0, wrong])
    for pair in ((right, broken), (broken, right)):
        with pytest.raises(StepError, match="not finite"):
            parity.check_float(*pair, "")


def test_no_cosine_is_beyond_one_whatever_rounding_does() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        values = random.normal(size=7)
        assert 1 - 1e-12 < parity.numbers(values, 3 * values)["cosine"] <= 1
        assert -1 <= parity.numbers(values, -3 * values)["cosine"] < -1 + 1e-12
