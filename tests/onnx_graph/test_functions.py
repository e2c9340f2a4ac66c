"""Functions of one number by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from onnx import helper

from compressor.onnx_graph import functions


def of(operator: str, **attributes: Any) -> functions.Function | None:
    return functions.of(helper.make_node(operator, ["x"], ["y"], **attributes))


@pytest.mark.parametrize(
    ("operator", "attributes", "given", "made"),
    [
        ("Sigmoid", {}, [0, math.log(3), -math.log(3), -1e4, 1e4], [0.5, 0.75, 0.25, 0, 1]),
        ("QLinearSigmoid", {}, [math.log(3)], [0.75]),
        ("Tanh", {}, [0, math.log(2), -math.log(2)], [0, 0.6, -0.6]),  # (4 - 1) / (4 + 1)
        ("Erf", {}, [0, 1, -1], [0, 0.8427007929, -0.8427007929]),
        ("Gelu", {}, [0, 1, -1], [0, 0.8413447461, -0.1586552539]),  # x times the normal distribution
        ("HardSigmoid", {}, [0, 1, -2.5, 2.5, 9], [0.5, 0.7, 0, 1, 1]),  # x / 5 + 1/2
        ("HardSigmoid", {"alpha": 0.5, "beta": 0.25}, [0, 1, -1], [0.25, 0.75, 0]),
        ("HardSwish", {}, [-3, 0, 1, 3, 6, -1], [0, 0, 2 / 3, 3, 6, -1 / 3]),  # x (x / 6 + 1/2)
        ("LeakyRelu", {}, [-2, 0, 2], [-0.02, 0, 2]),
        ("LeakyRelu", {"alpha": 0.25}, [-2, 2], [-0.5, 2]),
    ],
)
def test_values_by_hand(operator: str, attributes: dict[str, float], given: list[float], made: list[float]) -> None:
    found = of(operator, **attributes)
    assert found is not None
    assert found.exact(np.array(given, float)).tolist() == pytest.approx(made, abs=1e-9)


def test_what_is_no_function_of_one_number_here() -> None:
    assert of("Softmax") is None
    assert of("Gelu", approximate="tanh") is None
    assert of("Gelu", approximate="none") is not None


def test_what_is_approximated_may_err_by_more_than_a_few_roundings() -> None:
    """A rounding of float32 is 2^-24 of the value."""
    rounded, approximated = of("LeakyRelu"), of("Tanh")
    assert rounded is not None and approximated is not None
    assert 2**-24 < rounded.error < 8 * 2**-24 < approximated.error < 32 * 2**-24
