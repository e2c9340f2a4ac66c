"""What the search for widths prefers: losses and costs counted by hand, and a plain search beside it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from compressor.pruning import widths
from compressor.pruning.widths import Choice, OutOfReachError, Search, Term


def apart(sizes: list[int], coefficients: list[float], round_to: int = 1) -> Search:
    """Layers whose costs have nothing to do with each other: coefficient · channels each."""
    count = len(sizes)
    terms = tuple(Term(coefficient, place) for place, coefficient in enumerate(coefficients))
    return Search(np.array(sizes), np.array(sizes), np.eye(count, dtype=int), terms, np.arange(count), round_to)


def test_the_least_loss_among_equal_costs() -> None:
    """Four of eight channels stay. Shares of importance that stay, and the sum of 1 / share - 1:

    1 + 3: 1/4 and 8/8, 3. 2 + 2: 2/4 and 7/8, 1 + 1/7. 3 + 1: 3/4 and 5/8, 1/3 + 3/5. So three and one.
    """
    search = apart([4, 4], [1, 1])
    assert widths.choose(search, 0.5, [[1, 1, 1, 1], [1, 0, 5, 2]]) == Choice((3, 1), 0.5)
    assert widths.choose(search, 0.5, [[1, 0, 5, 2], [1, 1, 1, 1]]) == Choice((1, 3), 0.5)


def test_one_layer_of_two_channels_is_a_choice_and_one_of_one_is_none() -> None:
    assert widths.choose(apart([2], [1]), 0.5, [[1, 1]]) == Choice((1,), 0.5)
    with pytest.raises(OutOfReachError) as caught:
        widths.choose(apart([1], [1]), 0.5, [[1]])
    assert (caught.value.below, caught.value.above) == (None, 1.0)


def test_less_than_the_least_of_one_layer_is_out_of_reach() -> None:
    with pytest.raises(OutOfReachError) as caught:
        widths.choose(apart([2], [1]), 0.1, [[1, 1]])
    assert (caught.value.below, caught.value.above) == (None, 0.5)


def test_a_layer_that_is_not_to_be_pruned_counts_with_what_is_fixed_in_it() -> None:
    """Axis 0 has 6 channels, 2 of the family; axis 1 has the family's 2 alone; axis 2 is a family of 2 by itself.

    Half the family leaves 5/6 and 1/2 of the layers, a loss of 1/5 + 1; half of the other leaves 1/2, a loss of 1.
    Cost 2 · family + 2 · other = 8; each halved is 6.
    """
    touches = np.array([[1, 0], [1, 0], [0, 1]])
    terms = (Term(2.0, 1), Term(2.0, 2))
    search = Search(np.array([2, 2]), np.array([6, 2, 2]), touches, terms, np.array([0, 1, 2]), 1)
    assert widths.choose(search, 0.75, [[1, 1], [1, 1]]) == Choice((2, 1), 0.75)
    one_layer = Search(np.array([2, 2]), np.array([6, 2, 2]), touches, terms, np.array([0, 2]), 1)
    assert widths.choose(one_layer, 0.75, [[1, 1], [1, 1]]) == Choice((1, 2), 0.75)  # 1/5 against 1


def test_two_hundredths_are_near_enough_and_more_is_not() -> None:
    search = apart([2], [1])
    for share in (0.4801, 0.5199):
        assert widths.choose(search, share, [[1, 1]]) == Choice((1,), 0.5)
    for share in (0.4799, 0.5201):
        with pytest.raises(OutOfReachError) as reach:
            widths.choose(search, share, [[1, 1]])
        assert (reach.value.below, reach.value.above) == ((None, 0.5) if share < 0.5 else (0.5, 1.0))


def test_an_axis_of_its_block_alone_is_not_pruned() -> None:
    """Of 8 and 24 channels in blocks of 8 only the second may shrink: to 8 + 8 or 8 + 16 of 32."""
    search = apart([8, 24], [1, 1], 8)
    assert widths.choose(search, 0.5, [[1] * 8, [1] * 24]) == Choice((8, 8), 0.5)
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(search, 0.25, [[1] * 8, [1] * 24])
    assert (reach.value.below, reach.value.above) == (None, 0.5)


# A plain search: everything is tried, in loops, one candidate at a time.


Found = tuple[int, ...] | tuple[float | None, float]
"""Widths, or the nearest shares below and above."""


def found(search: Search, share: float, scores: list[list[float]]) -> Found:
    try:
        return widths.choose(search, share, scores).kept
    except OutOfReachError as reach:
        return reach.below, reach.above


def plainly(search: Search, share: float, scores: list[list[float]]) -> Found:
    """The nearest shares below and above where none is within the tolerance, else the widths with the least of loss + rate · (gap + 2 · |gap|), gap being the cost's share above the target.

    The rate is the loss at the target for the share of the cost that was saved, on a walk that lowers the family where
    the least is lost for what is saved, a 32nd of its widths (one at least) at a time.
    """
    choices = [widths.options(int(count), search.round_to) for count in search.units]
    whole = tuple(int(count) for count in search.units)

    def channels(kept: tuple[int, ...]) -> list[int]:
        taken = zip(search.sizes, search.touches, strict=True)
        return [
            int(size) - sum(int(row[f]) * (whole[f] - kept[f]) for f in range(len(kept))) for size, row in taken
        ] + [1]

    def cost(kept: tuple[int, ...]) -> float:
        have = channels(kept)
        return sum(
            term.coefficient * have[-1 if term.out is None else term.out] * have[-1 if term.into is None else term.into]
            for term in search.terms
        )

    def loss(kept: tuple[int, ...]) -> float:
        total = 0.0
        for layer in search.layers:
            row = search.touches[layer]
            fixed = int(search.sizes[layer]) - sum(int(row[f]) * whole[f] for f in range(len(kept)))
            sums = [
                [sum(sorted(scores[f], reverse=True)[:n]) * int(row[f]) for n in (kept[f], whole[f])]
                for f in range(len(kept))
            ]
            total += (fixed + sum(one[1] for one in sums)) / (fixed + sum(one[0] for one in sums)) - 1
        return total

    def allowed(kept: tuple[int, ...]) -> bool:
        return all(n >= min(size, search.round_to) for n, size in zip(channels(kept), search.sizes, strict=False))

    near = [
        one
        for one in product(*choices)
        if one != whole and allowed(one) and abs(cost(one) / cost(whole) - share) <= widths.TOLERANCE
    ]
    if not near:
        shares = [cost(one) / cost(whole) for one in product(*choices) if one != whole and allowed(one)]
        below, above = [one for one in shares if one <= share], [one for one in shares if one > share]
        return max(below, default=None), min(above, default=1.0)
    kept = whole
    while cost(kept) > share * cost(whole):
        lowered = []
        for family, options in enumerate(choices):
            place = options.index(kept[family])
            to = options[max(0, place - max(1, (len(options) - 1) // 32))]
            candidate = (*kept[:family], to, *kept[family + 1 :])
            if candidate != kept and allowed(candidate):
                lowered.append(candidate)
        if not lowered:
            break
        kept = min(lowered, key=lambda one: (loss(one) - loss(kept)) / (cost(kept) - cost(one)))
    rate = loss(kept) / (1 - cost(kept) / cost(whole))

    def value(kept: tuple[int, ...]) -> float:
        gap = cost(kept) / cost(whole) - share
        return loss(kept) + rate * (gap + 2 * abs(gap))

    return min(near, key=value)


def random_case(seed: int, sizes: list[int], round_to: int) -> tuple[Search, list[list[float]]]:
    """A first layer, a stream that two layers share and widen, and a last one; importances that fall off steeply."""
    made = np.random.default_rng(seed)
    touches = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 2], [0, 0, 1]])
    ends = touches @ np.array(sizes) + [0, 3, 0, 0]
    terms = (Term(27.0, 0), Term(9.0, 1, 0), Term(1.0, 2, 1), Term(4.0, 3, 2), Term(10.0, None, 3))
    scores = [list(made.exponential(size=size) ** 2 + 0.01) for size in sizes]
    return Search(np.array(sizes), ends, touches, terms, np.array([0, 1, 3]), round_to), scores


CASES = [
    (seed, sizes, round_to, share)
    for seed, (sizes, round_to) in enumerate([([12, 9, 7], 1), ([5, 16, 11], 1), ([70, 3, 2], 1), ([24, 19, 40], 4)])
    for share in (0.35, 0.6, 0.85)
]
COARSE = [
    (2, [48, 110, 48], 16, 0.93), (15, [32, 64, 80], 16, 0.51), (51, [12, 8, 12], 4, 0.18), (56, [10, 16, 12], 4, 0.72),
]  # fmt: skip
"""Few widths, so that often none is near."""


@pytest.mark.parametrize(("seed", "sizes", "round_to", "share"), CASES + COARSE)
def test_a_plain_search_finds_the_same(seed: int, sizes: list[int], round_to: int, share: float) -> None:
    search, scores = random_case(seed, sizes, round_to)
    assert found(search, share, scores) == pytest.approx(plainly(search, share, scores))


@pytest.mark.parametrize(("seed", "sizes", "round_to", "share"), [*CASES[:7], *CASES[8:], COARSE[0], *COARSE[2:]])
def test_where_not_everything_can_be_tried_the_climb_comes_as_far(
    monkeypatch: pytest.MonkeyPatch, seed: int, sizes: list[int], round_to: int, share: float
) -> None:
    search, scores = random_case(seed, sizes, round_to)
    monkeypatch.setattr(widths, "FEW", 0)
    assert found(search, share, scores) == pytest.approx(plainly(search, share, scores))


def test_the_climb_goes_through_families_of_which_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of 8 inside a stream of 24: all of the other 16 may go, to a third; either half of them to two thirds."""
    touches = np.array([[1, 0], [1, 1]])
    search = Search(np.array([8, 16]), np.array([8, 24]), touches, (Term(1.0, 1),), np.array([0, 1]), 8)
    monkeypatch.setattr(widths, "FEW", 0)
    assert widths.choose(search, 1 / 3, [[1] * 8, [1] * 16]) == Choice((8, 0), 1 / 3)
    assert widths.choose(search, 2 / 3, [[1] * 8, [1] * 16]).kept == (8, 8)
