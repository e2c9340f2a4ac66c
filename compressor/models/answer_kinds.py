"""What a network's answers are where they are no raw scores: probabilities or logarithms of them, told by numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["softmax", "sigmoid", "log_softmax", "log_sigmoid"]
"""The function that such answers come out of, in whatever way a network computes it; raw scores (logits) are None."""

KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES = {kind: kind.replace("_", "-") for kind in KINDS}
ANSWERS: dict[Kind, str] = {
    "softmax": "probability of each answer",
    "sigmoid": "probability of each answer by itself",
    "log_softmax": "logarithm of the probability of each answer",
    "log_sigmoid": "logarithm of the probability of each answer by itself",
}
"""What one number of an answer is, in words that fit into a sentence."""
MEANINGS = {
    kind: f"{words}, in their order{'; they need not sum to one' if kind == 'sigmoid' else ''}"
    for kind, words in ANSWERS.items()
}
LOGARITHM_OF: dict[Kind, Kind] = {"log_softmax": "softmax", "log_sigmoid": "sigmoid"}

_BEYOND = 1e-6
SUM = 1e-3
"""How far the sum of a row of probabilities in float32 may be from one."""


def fitting(answers: np.ndarray, sum_within: float = SUM) -> frozenset[Kind]:
    """The kinds that answers [samples, classes] can be of; none where they are raw scores, or no numbers.

    >>> import numpy as np
    >>> sorted(fitting(np.array([[0.25, 0.75], [1.0, 0.0]])))
    ['sigmoid', 'softmax']
    >>> sorted(fitting(np.array([[0.25, 0.25], [1.0, 0.0]])))
    ['sigmoid']
    >>> sorted(fitting(np.log([[0.25, 0.75], [0.5, 0.5]])))
    ['log_sigmoid', 'log_softmax']
    >>> sorted(fitting(np.array([[0.25, 1.25], [1.0, 0.0]])))
    []
    """
    import numpy as np

    values = np.asarray(answers, np.float64)
    if values.ndim != 2 or not values.size or np.isnan(values).any():
        return frozenset()
    found: set[Kind] = set()
    if values.min() >= -_BEYOND and values.max() <= 1 + _BEYOND:
        found.add("sigmoid")
        if np.abs(values.sum(1) - 1).max() <= sum_within:
            found.add("softmax")
    if values.max() <= _BEYOND:
        found.add("log_sigmoid")
        if np.abs(np.exp(values).sum(1) - 1).max() <= sum_within:
            found.add("log_softmax")
    return frozenset(found)
