"""What a network's outputs say of its classes."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np


def probabilities(outputs: np.ndarray, in_graph: Collection[str | None]) -> np.ndarray:
    """float64 [n, classes] from a graph's outputs [n, classes]. in_graph: what the graph does itself.

    >>> probabilities(np.array([[0.2, 0.7]]), ["sigmoid"]).tolist()
    [[0.2, 0.7]]
    >>> probabilities(np.log([[0.25, 0.75]]), []).round(6).tolist()
    [[0.25, 0.75]]
    """
    values = np.asarray(outputs, dtype=np.float64)
    if "softmax" in in_graph or "sigmoid" in in_graph:
        return values
    if "log_sigmoid" in in_graph:
        return np.asarray(np.exp(values))
    # Of a log-softmax the softmax is the exponential.
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
