"""How many answers are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compressor.problem.batch import Arrays, only
from compressor.problem.metric import mean

if TYPE_CHECKING:
    import numpy as np


def _right(outputs: Arrays, targets: Arrays) -> np.ndarray:
    import numpy as np

    return np.asarray(only(outputs).argmax(axis=1) == only(targets), np.float64)


METRIC = mean("accuracy", _right, unit="share", range=(0.0, 1.0))
"""The share of samples whose highest score, of the output [samples, classes], is the target's, int64 [samples]."""
