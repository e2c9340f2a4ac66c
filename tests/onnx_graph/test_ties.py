"""Margins by hand: how near a rounding comes to a tie, and how near float32 arithmetic may bring it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from compressor.onnx_graph import ties
from compressor.onnx_graph.ties import EPSILON, Grid

ONE = Grid(1.0, 0)


def test_fifths_stay_a_tenth_from_a_half() -> None:
    """3/5 i + 4/5 j is a number of fifths; .4 and .6 are the nearest to .5.

    254.4 is the largest that does not saturate: six roundings of it, and 2^-23 (half a multiple of the fixed point, below
    a ratio of one) for each of the i + j that add up to it, 381 at most (255 and 126).
    """
    margin = ties.addition(Grid(0.6, 0), Grid(0.8, 0), ONE)
    assert margin.distance == pytest.approx(0.1, abs=1e-9)
    assert margin.proven
    assert margin.largest_error == pytest.approx(6 * EPSILON * 254.2 + 2.0**-23 * (255 + 126), rel=0.01)


def test_halves_tie_and_saturated_ones_need_no_proof() -> None:
    assert ties.addition(Grid(0.5, 0), ONE, ONE).distance == 0
    assert not ties.addition(Grid(0.5, 0), ONE, ONE).proven
    # 1000.5 i + 1000.5 j: only the pair (0, 0) does not saturate, and it is 0.
    assert ties.addition(Grid(1000.5, 0), Grid(1000.5, 0), ONE).proven


def test_zero_points_count_in_the_error_and_in_what_saturates() -> None:
    """(i - 100) + (j - 100) + 50 in whole numbers is never near a tie, but its terms are up to 654 before they cancel."""
    margin = ties.addition(Grid(1.0, 100), Grid(1.0, 100), Grid(1.0, 50))
    assert margin.distance == 0.5
    assert margin.largest_error == pytest.approx(6 * EPSILON * 654 + 2.0**-22 * 204, rel=0.01)  # i + j = 404 is 254


def test_products_by_hand() -> None:
    assert ties.multiplication(ONE, Grid(1 / 3, 0), ONE).distance == pytest.approx(1 / 6, abs=1e-9)
    assert not ties.multiplication(Grid(0.5, 3), ONE, ONE).proven


def test_averages_by_hand() -> None:
    """The mean of three is a number of thirds; of four it ties, unless the scales make other fractions of it."""
    assert ties.mean(ONE, ONE, 3, exact_sum=True).distance == pytest.approx(1 / 6, abs=1e-9)
    assert not ties.mean(ONE, ONE, 4, exact_sum=True).proven
    assert ties.mean(ONE, Grid(0.75, 0), 4, exact_sum=True).proven  # s/4 / 0.75 = s/3
    summed, added = (ties.mean(ONE, Grid(0.75, 0), 4, exact_sum=exact) for exact in (True, False))
    assert added.largest_error == pytest.approx(summed.largest_error * 10 / 6, rel=1e-4)  # four more roundings


def test_a_mean_of_signed_numbers_errs_by_their_absolute_sum() -> None:
    """Of three bytes around 100 the sums are -300 to 465, and 465 is also what they add up to without signs."""
    signed = ties.mean(Grid(1.0, 100), ONE, 3, exact_sum=False)
    assert signed.largest_error == pytest.approx(9 * EPSILON * 155, rel=1e-4)


def test_functions_by_hand() -> None:
    """x/2 over the bytes ties at every odd one, x/3 never; a function that is off by a sixth could tie."""
    assert not ties.table(ONE, ONE, lambda x: x / 2, 1e-6).proven
    assert ties.table(ONE, ONE, lambda x: x / 3, 1e-6).distance == pytest.approx(1 / 6)
    assert not ties.table(ONE, ONE, lambda x: x / 3, 0.17).proven


@pytest.mark.parametrize("seed", range(3))
def test_no_order_of_float32_operations_errs_by_more_than_the_bound(seed: int) -> None:
    """Three ways to compute an addition in float32, at random pairs of random scales, against exact fractions."""
    random = np.random.default_rng(seed)
    for _ in range(30):
        a, b, out = (Grid(float(np.float32(random.uniform(0.01, 0.1))), int(random.integers(0, 200))) for _ in range(3))
        i, j = (int(one) for one in random.integers(0, 256, 2))
        exact = (Fraction(a.scale) * (i - a.zero) + Fraction(b.scale) * (j - b.zero)) / Fraction(out.scale) + out.zero
        one = np.float32
        first, second = one(a.scale) / one(out.scale), one(b.scale) / one(out.scale)
        constant = one(out.zero) - first * one(a.zero) - second * one(b.zero)
        fused = one(float(first) * i + float(constant + second * one(j)))
        ways = [
            constant + first * one(i) + second * one(j),
            fused,
            (one(a.scale) * one(i - a.zero) + one(b.scale) * one(j - b.zero)) / one(out.scale) + one(out.zero),
        ]
        terms = a.scale / out.scale * (i + a.zero) + b.scale / out.scale * (j + b.zero) + out.zero
        for way in ways:
            assert abs(float(Fraction(float(way)) - exact)) <= 6 * EPSILON * terms * 1.0001


def test_arms_fixed_point_counts_where_one_ratio_dwarfs_the_other() -> None:
    """Beside a ratio of 163 the other one is a multiple of 2^-14: off by 2^-15 for each of up to 255 steps."""
    a, b, out = Grid(0.00611019367352128, 123), Grid(0.9999978542327881, 0), Grid(0.006132493726909161, 123)
    margin = ties.addition(a, b, out)
    assert margin.distance == pytest.approx(0.5 / 275, rel=0.05)
    assert margin.error > 100 * 2.0**-15
    assert not margin.proven


@pytest.mark.parametrize(
    ("value", "distance"),
    [
        (254.375, 0.125),  # a tie at 254.5 is reached by 1/4
        (254.625, 0.125),  # saturates, but could be a tie
        (255.0, None),  # a fourth below is 254.75: saturates whatever the error is
        (0.375, 0.125),
        (0.625, 0.125),
        (0.125, None),
        (-3.0, None),
        (300.0, None),
        (100.0, 0.5),
    ],
)
def test_saturation_by_hand(value: float, distance: float | None) -> None:
    """A function that is off by a fourth: `relative` is of the value, or of one where that is more."""
    relative = 0.25 / max(abs(value), 1)
    margin = ties.table(ONE, ONE, lambda x: np.full(256, value), relative)
    if distance is None:
        assert (margin.distance, margin.error, margin.largest_error) == (float("inf"), 0, 0)
        assert margin.proven
    else:
        assert margin.distance == pytest.approx(distance)
        assert margin.largest_error == pytest.approx(0.25 + 6 * EPSILON * 256, rel=1e-9)
        assert margin.proven == (distance == 0.5)


def test_the_error_of_a_function_is_in_steps_of_its_output() -> None:
    """Steps of 1/2 and zero at 10: 3.7 is 17.4. Of its value 1 % is 0.037, which are 0.074 steps."""
    margin = ties.table(Grid(0.1, 7), Grid(0.5, 10), lambda x: np.full(256, 3.7), 0.01)
    assert margin.distance == pytest.approx(0.1)
    assert margin.largest_error == pytest.approx(0.074 + 6 * EPSILON * 256, rel=1e-6)
    seen: list[np.ndarray] = []
    ties.table(Grid(0.5, 7), ONE, lambda x: (seen.append(x), x)[1], 0.0)
    assert (seen[0][0], seen[0][7], seen[0][255]) == (-3.5, 0.0, 124.0)


def test_the_place_with_the_least_room_decides_not_the_nearest_tie() -> None:
    """0.4 from a tie and sure, against 0.1 from one where the error is 0.2 (1 % of 20.4 rather than of 3.9)."""
    values = np.where(np.arange(256) == 9, 20.4, 3.9)
    margin = ties.table(ONE, ONE, lambda x: values, 0.0098)
    assert margin.distance == pytest.approx(0.1)
    assert margin.error == pytest.approx(0.0098 * 20.4, rel=1e-3)
    assert not margin.proven


def test_products_with_zero_points_by_hand() -> None:
    """(i - 3)(j - 5) / 4 + 2: fractions of 1/4, 1/2 among them; / 3: thirds. The largest product is 252 · 250."""
    assert ties.multiplication(Grid(0.5, 3), Grid(0.5, 5), Grid(1.0, 2)).distance == 0
    thirds = ties.multiplication(Grid(1.0, 3), Grid(1 / 3, 5), Grid(1.0, 2))
    assert thirds.distance == pytest.approx(1 / 6, abs=1e-6)
    assert thirds.largest_error == pytest.approx(6 * EPSILON * (254.3 - 2 + 2), rel=0.01)
    assert ties.multiplication(Grid(1.0, 3), Grid(1 / 3, 5), Grid(1.0, 200)).largest_error == pytest.approx(
        6 * EPSILON * (200 + 200), rel=0.01
    )


def test_additions_with_other_scales_by_hand() -> None:
    """Ratios of 3/2 and 1/2 with zeros at 1 and 2 and the output's at 7: a tie wherever the sum of both is odd."""
    assert ties.addition(Grid(3.0, 1), Grid(1.0, 2), Grid(2.0, 7)).distance == 0
    third = ties.addition(Grid(2.0, 1), Grid(1.0, 2), Grid(3.0, 7))
    assert third.distance == pytest.approx(1 / 6, abs=1e-6)


@pytest.mark.parametrize("exact_sum", [True, False])
def test_means_with_zero_points_by_hand(exact_sum: bool) -> None:
    """Of two bytes around 10 the mean is i / 2 - 10: in steps of 3/4 that is 2i/3 - 40/3, with zero at 20."""
    margin = ties.mean(Grid(1.0, 10), Grid(0.75, 20), 2, exact_sum=exact_sum)
    assert margin.distance == pytest.approx(1 / 6, abs=1e-6)
    # The largest inside is 254: a sum of 351, in steps 234. Without signs a sum below zero may be made of terms that
    # add up to 2 · 245.
    if exact_sum:
        assert margin.largest_error == pytest.approx(6 * EPSILON * (234 + 20), rel=0.01)
    else:
        assert margin.largest_error == pytest.approx(8 * EPSILON * (490 * 2 / 3 + 20), rel=0.01)
