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
