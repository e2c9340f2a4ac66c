"""How samples are put together to see whether an answer depends on its company, and the words for what is found."""

from __future__ import annotations

FEWEST, FEW, MANY = 3, 4, 8
QUICK_SECONDS, SLOW_SECONDS = 0.03, 0.2
LARGE = 65
ROUNDING = 2e-5
"""A share of the largest output: what float32 arithmetic in another order does to it."""
NAME_AXES = "name the axes that it may drop, as in `x.flatten(1)` or `x.squeeze((2, 3))`"
WITHIN = "compute within each sample, over axes from 1 on"
OVER_CLASSES = "take the softmax over the classes"
EACH_TIME = "so the same sample is answered otherwise each time"


def count(seconds: float) -> int:
    """How many samples to look at, where two take this long."""
    return MANY if seconds < QUICK_SECONDS else FEW if seconds < SLOW_SECONDS else FEWEST


def batches(every: list[int], *, quick: bool) -> list[list[int]]:
    """Places of samples: the same again, alone, few, in other orders and company, and, where it is quick, many.

    >>> batches([0, 1, 2], quick=False)
    [[0, 1, 2], [0], [2], [1, 2], [2, 1, 0]]
    """
    if len(every) < FEW:
        return [every, [every[0]], [every[-1]], every[1:], every[::-1]]
    shuffled, company = [*every[1::2][::-1], *every[::2]], [every[1], *[every[0]] * (len(every) - 1)]
    many = [[every[place % len(every)] for place in range(LARGE)]] if quick else []
    return [every, [0], [every[1]], [every[-1]], [1, 2], [0, 2, 3], every[::-1], shuffled, company, *many]


def failed(number: int, reason: str | None) -> str:
    """`one sample alone fails (no words)`; reason: None where it is answered in another shape."""
    samples = "one sample alone" if number == 1 else f"{number} samples"
    if reason is None:
        return f"{samples} {'is' if number == 1 else 'are'} answered in another shape"
    return f"{samples} fail{'s' if number == 1 else ''} ({reason})"


def effect(number: int) -> str:
    """What follows where a batch of this size was answered otherwise."""
    return f"so {'a sample alone' if number == 1 else 'in another batch a sample'} is answered otherwise"


def unlike(number: int, usual: int) -> str:
    """What was seen, where no more is known: batches of two sizes, or of one in another order."""
    return f"a batch of {number} is answered otherwise than one of {usual}, {effect(number)}"


def path(what: str, number: int, where: str = "") -> str:
    """A branch on the batch's size."""
    return f"{what} takes another path for {number} sample{'s' * (number > 1)}{where}, {effect(number)}"


def mixing(what: str, follows: str) -> str:
    """Something that computes over the samples of a batch."""
    return f"{what} mixes the samples of a batch, {follows}"


def dropping(what: str, follows: str) -> str:
    """A squeeze of all axes."""
    return f"{what} drops the batch's axis where the batch has one sample{follows}"


def softmax(what: str, follows: str) -> str:
    """A softmax over the wrong axis."""
    return f"{what} runs over the batch's axis, {follows}"


def normalising(what: str, mode: str, follows: str) -> str:
    """A batch norm that is not in eval mode. mode: `as in training`, say."""
    return f"{what} normalises with the statistics of the batch{mode}, {follows}"
