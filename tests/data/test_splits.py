"""Splits: exact counts, each class in its proportion, the same for everybody, and no seed in sight."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from compressor.data.splits import count, few, generator, hold_out


def test_held_out_samples_follow_the_classes() -> None:
    targets = np.array([0] * 6 + [1] * 3 + [2] * 1)
    taken = hold_out(targets, 5, "a purpose")
    # Quotas 3, 1.5, 0.5: the whole parts are 3, 1, 0, and the tie of halves goes to the lower class.
    assert np.bincount(targets[taken], minlength=3).tolist() == [3, 2, 0]


@given(some.lists(some.integers(0, 4), min_size=2, max_size=60), some.data())
def test_held_out_counts_are_exact_and_within_one_of_the_share(labels: list[int], data: some.DataObject) -> None:
    targets = np.array(labels)
    held = data.draw(some.integers(1, len(labels) - 1))
    taken = hold_out(targets, held, "any")
    assert taken.sum() == held
    for label in set(labels):
        assert abs((taken & (targets == label)).sum() - held * (targets == label).mean()) < 1


def test_a_split_is_fixed_by_its_purpose_alone() -> None:
    targets = np.arange(40) % 4
    np.random.seed(1)
    first = hold_out(targets, 12, "validation/train")
    np.random.seed(2)
    assert (hold_out(targets, 12, "validation/train") == first).all()
    assert (hold_out(targets, 12, "validation/test") != first).any()


def test_known_split_never_moves() -> None:
    """Reports are compared over years: a change here must raise SPLIT_REVISION."""
    assert np.flatnonzero(hold_out(np.arange(12) % 3, 3, "frozen")).tolist() == FROZEN


FROZEN = [1, 8, 9]


@pytest.mark.parametrize("held", [0, 5, 6])
def test_nothing_left_is_refused(held: int) -> None:
    with pytest.raises(ValueError, match="cannot be held out"):
        hold_out(np.zeros(5, dtype=np.int64), held, "x")


@pytest.mark.parametrize(("size", "wanted"), [(0.1, 144), (1, 1), (250, 250), (0.0001, 1)])
def test_size_is_a_share_or_a_count(size: float, wanted: int) -> None:
    assert count(size, 1437) == wanted


def test_few_takes_of_every_class() -> None:
    targets = np.repeat(np.arange(4), 25)
    places = few(targets, 8)
    assert np.bincount(targets[places]).tolist() == [2, 2, 2, 2]
    assert (np.diff(places) > 0).all()
    assert few(targets, 100).tolist() == list(range(100))


def test_each_purpose_and_epoch_has_its_own_stream() -> None:
    draws = {
        generator(*parts).integers(2**63)
        for parts in [(0, "order", 0), (0, "order", 1), (1, "order", 0), (0, "flip", 0)]
    }
    assert len(draws) == 4
    assert generator(0, "order", 0).integers(2**63) == generator(0, "order", 0).integers(2**63)


def test_seeds_enter_as_two_words_of_32_bits() -> None:
    """3 · 2^32 + 7 is the words 7 and 3."""
    wanted = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 3])))
    assert generator(3 * 2**32 + 7).integers(2**63) == wanted.integers(2**63)
    assert generator(7).integers(2**63) != generator(3 * 2**32 + 7).integers(2**63)


def test_the_least_and_the_most_that_can_be_held_out() -> None:
    targets = np.array([0, 0, 1, 1, 1])
    assert hold_out(targets, 1, "x").sum() == 1
    assert targets[hold_out(targets, 1, "x")].tolist() == [1]  # quotas 0.4 and 0.6
    assert hold_out(targets, 4, "x").sum() == 4


def test_shares_are_rounded_and_whole_numbers_are_counts() -> None:
    assert [count(size, 10) for size in (0.25, 0.26, 0.99, 1, 1.0, 7)] == [2, 3, 10, 1, 1, 7]  # 2.5 rounds to even
    assert few(np.zeros(5, int), 5).tolist() == [0, 1, 2, 3, 4]
    assert len(few(np.zeros(6, int), 5)) == 5
