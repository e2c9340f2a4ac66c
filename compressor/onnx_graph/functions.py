"""Functions of one number, as onnxruntime computes them in float, and how far its CPUs may be apart in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import erf, sqrt
from typing import Any

import numpy as np
import onnx

from compressor.onnx_graph import links

# Of the value, or of one where that is larger: a few roundings, and approximations that differ from CPU to CPU.
_ROUNDED, _APPROXIMATED = 4e-7, 1e-6
_erf = np.vectorize(erf, otypes=[float])


@dataclass(frozen=True)
class Function:
    """exact: float64 in and out. error: the most that two CPUs differ from it, as a share of max(1, |value|)."""

    exact: Callable[[np.ndarray], np.ndarray]
    error: float


def of(node: onnx.NodeProto) -> Function | None:
    """The function of a float node or of its quantized form (`QLinearSigmoid`); None for any other node."""
    given = links.attributes(node)
    name = node.op_type.removeprefix("QLinear")
    made = _FUNCTIONS.get(name)
    if made is None or (name == "Gelu" and given.get("approximate", b"none") != b"none"):
        return None
    error, build = made
    return Function(build(given), error)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -700, 700))))


def _hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0, 1)


_Attributes = Mapping[str, Any]
_Builder = Callable[[_Attributes], Callable[[np.ndarray], np.ndarray]]
_FUNCTIONS: Mapping[str, tuple[float, _Builder]] = {
    "Sigmoid": (_APPROXIMATED, lambda given: _sigmoid),
    "Tanh": (_APPROXIMATED, lambda given: np.tanh),
    "Erf": (_APPROXIMATED, lambda given: _erf),
    "Gelu": (_APPROXIMATED, lambda given: lambda x: 0.5 * x * (1 + _erf(x / sqrt(2)))),
    "HardSigmoid": (
        _ROUNDED,
        lambda given: lambda x: _hard_sigmoid(x, given.get("alpha", 0.2), given.get("beta", 0.5)),
    ),
    "HardSwish": (_ROUNDED, lambda given: lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5)),
    "LeakyRelu": (_ROUNDED, lambda given: lambda x: np.where(x < 0, given.get("alpha", 0.01) * x, x)),
}
