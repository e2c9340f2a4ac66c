"""How many channels every family keeps, so that a share of the cost is met and the least is lost.

Counts and scores in, counts out; no network. The cost is a sum of terms, each a coefficient times the channels of one
or two axes, and the loss is the sum over layers of -log(share of the layer's importance that stays): halving a layer
costs the same whatever its width, and the last channels are dear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

TOLERANCE = 0.02
FEW = 100_000  # so many combinations are all tried
_CHUNK = 8192
_STEPS = 48  # the greedy walk takes at most so many steps in each family; the local search is finer
_CLIMBS = 12


@dataclass(frozen=True)
class Term:
    """coefficient · channels(out) · channels(into); an axis of None counts as one. Axes are numbers."""

    coefficient: float
    out: int | None
    into: int | None = None


@dataclass(frozen=True)
class Search:
    """What is to be chosen, and from what.

    units: how many each family has. sizes: channels of every axis. touches: [axes, families], channels of an axis that
    one unit of a family takes. terms: the cost. layers: the axes whose importance counts. round_to: widths are
    multiples of it, or all that there is; one multiple stays on every axis.
    """

    units: np.ndarray
    sizes: np.ndarray
    touches: np.ndarray
    terms: tuple[Term, ...]
    layers: np.ndarray
    round_to: int


@dataclass(frozen=True)
class Choice:
    """kept: units of each family. share: of the cost."""

    kept: tuple[int, ...]
    share: float


class OutOfReach(Exception):
    """No widths come near enough to the share; the nearest shares below and above that can be had; below, None if none."""

    def __init__(self, below: float | None, above: float) -> None:
        super().__init__(f"nearest below {below}, above {above}")
        self.below, self.above = below, above


def choose(search: Search, share: float, scores: Sequence[Sequence[float]]) -> Choice:
    """Widths that keep `share` of the cost within TOLERANCE. scores: importance of each unit, by family.

    Whether there are such widths does not depend on the scores: where the search by importance ends outside, the one
    that takes all units for equally important decides. Keeping everything is no answer.

    Raises:
        OutOfReach: there are none.
    """
    try:
        return _Walk(search, share, scores).choose()
    except OutOfReach:
        return _Walk(search, share, [[1.0] * int(count) for count in search.units]).choose()


def options(count: int, round_to: int) -> list[int]:
    """How many of `count` units may stay: multiples of `round_to`, nothing, or all."""
    return sorted({*range(0, count + 1, round_to), count})


class _Walk:
    """One search, with the sums that every candidate needs."""

    def __init__(self, search: Search, share: float, scores: Sequence[Sequence[float]]) -> None:
        self.search, self.target = search, share
        self.options = [np.array(options(int(count), search.round_to)) for count in search.units]
        self.full = np.array([len(one) - 1 for one in self.options])  # candidates are places in the options
        fixed = search.sizes - search.touches @ search.units
        self.fixed, self.floor = fixed, np.minimum(search.sizes, search.round_to)
        one = len(search.sizes)  # a column of ones stands for an axis of None
        self.out = np.array([one if term.out is None else term.out for term in search.terms], dtype=int)
        self.into = np.array([one if term.into is None else term.into for term in search.terms], dtype=int)
        self.coefficients = np.array([term.coefficient for term in search.terms])
        sums = [np.concatenate([[0.0], np.cumsum(sorted(values, reverse=True))]) for values in scores]
        self.sums = [sum_[option] for sum_, option in zip(sums, self.options, strict=True)]
        self.layer_touches = search.touches[search.layers].astype(float)
        self.layer_fixed = fixed[search.layers].astype(float)
        self.whole = self.layer_fixed + self.layer_touches @ np.array([one[-1] for one in self.sums])
        self.all = float(self.cost(self.full[None])[0])
        self.rate = 0.0  # what is lost for a share of the cost, at the target
        self.nearest: tuple[float, np.ndarray] | None = None
        self.below: float | None = None
        self.above = 1.0

    def kept(self, places: np.ndarray) -> np.ndarray:
        """Units kept, [candidates, families], of candidates given as places in the options."""
        return np.stack([option[column] for option, column in zip(self.options, places.T, strict=True)], axis=1)

    def cost(self, places: np.ndarray) -> np.ndarray:
        """The cost of each candidate, in the terms' unit."""
        sizes = self.fixed + self.kept(places) @ self.search.touches.T
        sizes = np.concatenate([sizes, np.ones((len(sizes), 1))], axis=1)
        return np.asarray((sizes[:, self.out] * sizes[:, self.into]) @ self.coefficients)

    def allowed(self, places: np.ndarray) -> np.ndarray:
        """Whether each candidate leaves every axis its floor."""
        return np.asarray((self.fixed + self.kept(places) @ self.search.touches.T >= self.floor).all(axis=1))

    def lost(self, places: np.ndarray) -> np.ndarray:
        """What each candidate loses: the sum over layers of -log(share of the importance that stays)."""
        sums = np.stack([sum_[column] for sum_, column in zip(self.sums, places.T, strict=True)], axis=1)
        stays = (self.layer_fixed + sums @ self.layer_touches.T) / self.whole
        return np.asarray(-np.log(np.maximum(stays, 1e-12)).sum(axis=1))

    def choose(self) -> Choice:
        """The best candidate within the tolerance."""
        combinations = float(np.prod([float(len(one)) for one in self.options]))
        if not len(self.options) or combinations == 1:
            raise OutOfReach(None, 1.0)
        starts = self._greedy()
        best = self._among(self._everything()) if combinations <= FEW else self._climb(starts)
        if best is None:
            raise OutOfReach(self.below, self.above)
        return Choice(tuple(int(count) for count in self.kept(best[None])[0]), float(self.cost(best[None])[0]) / self.all)

    def _everything(self) -> Iterator[np.ndarray]:
        chunk: list[tuple[int, ...]] = []
        for places in product(*(range(len(one)) for one in self.options)):
            chunk.append(places)
            if len(chunk) == _CHUNK:
                yield np.array(chunk)
                chunk = []
        if chunk:
            yield np.array(chunk)

    def _greedy(self) -> list[np.ndarray]:
        """Lower one family after the other, where the least is lost for the cost that is saved, until the target is
        passed; the candidates on either side of it. Sets the rate.
        """
        strides = np.maximum(1, self.full // _STEPS)
        path, cost, lost = [self.full], self.all, 0.0
        while cost > self.target * self.all:
            lowered = np.maximum(path[-1] - np.diag(strides), 0)
            lowered = lowered[(lowered != path[-1]).any(axis=1)]
            lowered = lowered[self.allowed(lowered)] if len(lowered) else lowered
            if not len(lowered) and strides.max() == 1:
                break
            if not len(lowered):
                strides = np.ones_like(strides)
                continue
            costs, losses = self.cost(lowered), self.lost(lowered)
            best = int(np.argmin((losses - lost) / np.maximum(cost - costs, 1e-9)))
            path, cost, lost = [*path[-1:], lowered[best]], float(costs[best]), float(losses[best])
        self.rate = lost / (1 - cost / self.all) if cost < self.all else 0.0
        return path

    def _climb(self, starts: list[np.ndarray]) -> np.ndarray | None:
        """Try every change of one family and of two, from the starts and then from the nearest so far."""
        for _ in range(_CLIMBS):
            reached = self.nearest
            best = self._among(chunk for start in starts for chunk in self._neighbours(start))
            if best is not None or self.nearest is None or self.nearest is reached:
                return best
            starts = [self.nearest[1]]
        return None

    def _neighbours(self, start: np.ndarray) -> Iterator[np.ndarray]:
        yield start[None]
        steps = np.concatenate([np.eye(len(start), dtype=int), -np.eye(len(start), dtype=int)])
        yield self._inside(start + steps)
        for step in steps:
            yield self._inside(start + step + steps)

    def _inside(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(places[((places >= 0) & (places <= self.full)).all(axis=1)])

    def _among(self, chunks: Iterator[np.ndarray]) -> np.ndarray | None:
        """The best candidate within the tolerance: what it loses, less what it keeps above the target at the going
        rate, and a little for its distance. Remembers the nearest shares on either side.
        """
        best: tuple[float, np.ndarray] | None = None
        for chunk in chunks:
            places = chunk[self.allowed(chunk) & (chunk != self.full).any(axis=1)] if len(chunk) else chunk
            if not len(places):
                continue
            gaps = self.cost(places) / self.all - self.target
            self._remember(places, gaps)
            near = np.flatnonzero(np.abs(gaps) <= TOLERANCE)
            if not len(near):
                continue
            values = self.lost(places[near]) + self.rate * (gaps[near] + 2 * np.abs(gaps[near]))
            place = int(np.argmin(values))
            if best is None or values[place] < best[0] - 1e-12:
                best = (float(values[place]), places[near[place]])
        return None if best is None else best[1]

    def _remember(self, places: np.ndarray, gaps: np.ndarray) -> None:
        place = int(np.argmin(np.abs(gaps)))
        if self.nearest is None or abs(gaps[place]) < self.nearest[0]:
            self.nearest = (float(abs(gaps[place])), places[place])
        under, over = gaps[gaps <= 0], gaps[gaps > 0]
        if len(under):
            self.below = max(self.below or 0.0, self.target + float(under.max()))
        if len(over):
            self.above = min(self.above, self.target + float(over.min()))
