"""The search for widths, on costs that can be counted by hand, and against trying everything."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.pruning import widths
from compressor.pruning.widths import OutOfReachError, Search, Term


def chain(sizes: list[int], round_to: int) -> Search:
    """Layers in a row, cost in · out of each; the first input (3) and the last output (4) are fixed."""
    count = len(sizes)
    ends = [3, *sizes, 4]  # axes: one for each width, ends included; a family takes one channel of its axis
    touches = np.zeros((count + 2, count), dtype=int)
    touches[np.arange(1, count + 1), np.arange(count)] = 1
    terms = tuple(Term(1.0, place + 1, place) for place in range(count + 1))
    return Search(np.array(sizes), np.array(ends), touches, terms, np.arange(1, count + 1), round_to)


def cost(kept: tuple[int, ...]) -> int:
    ends = [3, *kept, 4]
    return sum(a * b for a, b in pairwise(ends))


def even(sizes: list[int]) -> list[list[float]]:
    return [[1.0] * size for size in sizes]


@pytest.mark.parametrize(
    ("count", "round_to", "expected"),
    [(24, 8, [0, 8, 16, 24]), (26, 8, [0, 8, 16, 24, 26]), (5, 8, [0, 5]), (3, 1, [0, 1, 2, 3])],
)
def test_options(count: int, round_to: int, expected: list[int]) -> None:
    assert widths.options(count, round_to) == expected


def test_one_layer_by_hand() -> None:
    search = chain([16], 8)  # 16 channels cost 7 each; 8 are half of it
    assert widths.choose(search, 0.5, even([16])) == widths.Choice((8,), 0.5)


def test_the_nearest_shares_are_named() -> None:
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(chain([32], 8), 0.6, even([32]))
    assert (reach.value.below, reach.value.above) == (0.5, 0.75)
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(chain([32], 8), 0.1, even([32]))
    assert (reach.value.below, reach.value.above) == (None, 0.25)
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(chain([8], 8), 0.5, even([8]))
    assert (reach.value.below, reach.value.above) == (None, 1.0)


def test_keeping_everything_is_no_answer() -> None:
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(chain([32], 8), 0.99, even([32]))
    assert (reach.value.below, reach.value.above) == (0.75, 1.0)


def test_what_matters_less_goes() -> None:
    search = chain([16, 16], 8)  # 3·16 + 16·16 + 16·4 = 368; either layer halved: 216 or 208, 0.587 and 0.565
    flat, steep = [1.0] * 16, [10.0] * 8 + [0.01] * 8
    assert widths.choose(search, 0.576, [flat, steep]).kept == (16, 8)
    assert widths.choose(search, 0.576, [steep, flat]).kept == (8, 16)


def test_every_axis_keeps_a_block_even_where_families_share_it() -> None:
    touches = np.array([[1, 0], [1, 1]])  # a stream of 8 inside a stream of 24, as option A pads it
    search = Search(np.array([8, 16]), np.array([8, 24]), touches, (Term(1.0, 1),), np.array([0, 1]), 8)
    assert widths.choose(search, 1 / 3, even([8, 16])).kept == (8, 0)


SIZES = st.lists(st.sampled_from([8, 16, 19, 24, 32]), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, round_to=st.sampled_from([1, 8]), share=st.floats(0.05, 0.97), seed=st.integers(0, 99))
def test_against_trying_everything(sizes: list[int], round_to: int, share: float, seed: int) -> None:
    sizes = sizes[: 2 if round_to == 1 else 4]
    search = chain(sizes, round_to)
    made = np.random.default_rng(seed)
    scores = [list(made.random(size) + 0.1) for size in sizes]
    floors = [min(size, round_to) for size in sizes]
    whole = cost(tuple(sizes))
    possible = {
        kept: cost(kept) / whole
        for kept in product(*(widths.options(size, round_to) for size in sizes))
        if all(one >= floor for one, floor in zip(kept, floors, strict=True)) and list(kept) != sizes
    }
    if any(abs(one - share) <= widths.TOLERANCE for one in possible.values()):
        choice = widths.choose(search, share, scores)
        assert choice.share == pytest.approx(possible[choice.kept])
        assert abs(choice.share - share) <= widths.TOLERANCE
        return
    with pytest.raises(OutOfReachError) as reach:
        widths.choose(search, share, scores)
    below = [one for one in possible.values() if one <= share]
    above = [one for one in possible.values() if one > share]
    assert reach.value.below == (pytest.approx(max(below)) if below else None)
    assert reach.value.above == pytest.approx(min(above, default=1.0))


@pytest.mark.parametrize("share", [0.15, 0.33, 0.5, 0.72, 0.9])
@pytest.mark.parametrize("round_to", [1, 8, 16])
def test_many_layers_meet_the_share_whatever_the_scores(share: float, round_to: int) -> None:
    sizes = [32, 64, 32, 64, 96, 32, 128, 64, 256, 64, 32, 64]
    for seed in range(2):
        made = np.random.default_rng(seed)
        scores = [list(made.exponential(size=size)) for size in sizes]
        choice = widths.choose(chain(sizes, round_to), share, scores)
        assert abs(cost(choice.kept) / cost(tuple(sizes)) - share) <= widths.TOLERANCE
        assert all(kept % round_to == 0 and kept >= round_to for kept in choice.kept)


def test_no_layer_becomes_a_bottleneck_when_all_matter_alike() -> None:
    sizes = [64] * 12
    kept = widths.choose(chain(sizes, 1), 0.25, even(sizes)).kept
    assert min(kept) >= 0.6 * max(kept)
