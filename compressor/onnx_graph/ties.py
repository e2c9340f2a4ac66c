"""How near integer arithmetic with float scales comes to a tie, and how near float32 may bring it.

A quantized operator computes a real number from bytes and rounds it to the next byte. Two CPUs give different bytes
where that number lies so near to the middle between two (a tie) that the rounding errors of float32, which depend on
the order of operations and on fused multiply-adds, decide. Where every number that can occur is further from a tie
than any such error, all CPUs give the same byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPSILON = 2.0**-24
_BYTES = np.arange(256, dtype=np.float64)
# Roundings on any way from the scales to the number that is rounded: a ratio, a product, the sums, a fused step.
_ROUNDINGS = 6
_FIXED_POINT = 21


@dataclass(frozen=True)
class Grid:
    """The real numbers that a uint8 tensor's bytes stand for: `scale * (byte - zero)`."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Margin:
    """distance: from the nearest tie, in output steps, of the number for which it is smallest compared with `error`,
    the most that float32 arithmetic in any order may be off there. Results beyond 0 and 255 are left out: they
    saturate whatever the error is. Infinite and 0 where all results do. largest_error: over all numbers."""

    distance: float
    error: float
    largest_error: float

    @property
    def proven(self) -> bool:
        """Whether all CPUs round alike."""
        return self.distance > self.error


def addition(a: Grid, b: Grid, out: Grid) -> Margin:
    """Over all 65,536 pairs of bytes of `QLinearAdd`.

    >>> round(addition(Grid(3 / 5, 0), Grid(4 / 5, 0), Grid(1.0, 0)).distance, 6)  # fifths are a tenth or more from .5
    0.1
    >>> addition(Grid(0.5, 0), Grid(1.0, 0), Grid(1.0, 0)).proven
    False
    """
    first, second = np.float64(a.scale) / np.float64(out.scale), np.float64(b.scale) / np.float64(out.scale)
    exact = first * (_BYTES[:, None] - a.zero) + second * (_BYTES[None, :] - b.zero) + out.zero
    largest = first * (_BYTES[:, None] + a.zero) + second * (_BYTES[None, :] + b.zero) + out.zero
    # Arm's kernels take both ratios as whole multiples of 2^-21 of the larger one's power of two.
    half = 2.0 ** (np.floor(np.log2(max(first, second))) - _FIXED_POINT - 1)
    fixed = half * (np.abs(_BYTES[:, None] - a.zero) + np.abs(_BYTES[None, :] - b.zero) + 2)
    return _nearest(exact, _gamma(_ROUNDINGS) * largest + fixed)


def multiplication(a: Grid, b: Grid, out: Grid) -> Margin:
    """Over all pairs of bytes of `QLinearMul`."""
    ratio = np.float64(a.scale) * np.float64(b.scale) / np.float64(out.scale)
    products = ratio * np.outer(_BYTES - a.zero, _BYTES - b.zero)
    return _nearest(products + out.zero, _gamma(_ROUNDINGS) * (np.abs(products) + out.zero))


def mean(given: Grid, out: Grid, count: int, *, exact_sum: bool) -> Margin:
    """Over all sums that `count` bytes can have, averaged and rounded.

    exact_sum: the bytes are added as integers; else as float32 numbers, in any order, each rounding once.
    """
    sums = np.arange(255 * count + 1, dtype=np.float64) - count * given.zero
    ratio = np.float64(given.scale) / np.float64(out.scale) / count
    exact = ratio * sums + out.zero
    roundings = _ROUNDINGS if exact_sum else _ROUNDINGS + count
    # Float additions err by what their terms add up to without their signs.
    beyond = np.where(sums < 0, 255 - given.zero, given.zero)
    unsigned = np.minimum(np.abs(sums) + 2 * count * beyond, count * max(given.zero, 255 - given.zero))
    return _nearest(exact, _gamma(roundings) * (ratio * (np.abs(sums) if exact_sum else unsigned) + out.zero))


def table(given: Grid, out: Grid, function: Callable[[np.ndarray], np.ndarray], relative: float) -> Margin:
    """Over the 256 bytes of a function of one number whose float32 form is off by at most `relative` of its value
    and of one."""
    values = function(np.float64(given.scale) * (_BYTES - given.zero))
    error = (relative * np.maximum(np.abs(values), 1) / np.float64(out.scale)) + _gamma(_ROUNDINGS) * 256
    return _nearest(values / np.float64(out.scale) + out.zero, error)


def _gamma(roundings: int) -> float:
    return roundings * EPSILON / (1 - roundings * EPSILON)


def _nearest(exact: np.ndarray, error: np.ndarray) -> Margin:
    """The number with the least room between its error and its distance from a tie among those that do not saturate."""
    exact, error = np.broadcast_arrays(exact, error)
    inside = (exact + error >= 0.5) & (exact - error <= 254.5)
    if not inside.any():
        return Margin(float("inf"), 0.0, 0.0)
    distance, error = np.abs(exact[inside] - np.floor(exact[inside]) - 0.5), error[inside]
    place = int(np.argmin(distance - error))
    return Margin(float(distance[place]), float(error[place]), float(error.max()))
