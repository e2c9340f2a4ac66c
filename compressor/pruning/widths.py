"""How many channels every family keeps, so that a share of the cost is met and the least is lost.

Counts and scores in, counts out; no network. The cost is a sum of terms, each a coefficient times the channels of one
or two axes. What is lost is the sum over layers of 1 / (share of the layer's importance that stays) - 1: halving a
layer counts 1 whatever its width, and the last channels are dear, so that no layer becomes a bottleneck for the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product

import numpy as np

TOLERANCE = 0.02
FEW = 100_000  # so many combinations are all tried
_CHUNK = 8192
_STEPS = 32  # the greedy walk takes at most so many steps in each family; the local search is finer
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


class OutOfReachError(Exception):
    """No widths come near enough to the share. The nearest shares below (None if none) and above that can be had."""

    def __init__(self, below: float | None, above: float) -> None:
        super().__init__(f"nearest below {below}, above {above}")
        self.below, self.above = below, above


def choose(search: Search, share: float, scores: Sequence[Sequence[float]]) -> Choice:
    """Widths that keep `share` of the cost within TOLERANCE. scores: importance of each unit, by family.

    Whether there are such widths does not depend on the scores: where the search by importance ends outside, the one
    that takes all units for equally important decides. Keeping everything is no answer.

    Raises:
        OutOfReachError: there are none.
    """
    try:
        return _Walk(search, share, scores).choose()
    except OutOfReachError:
        return _Walk(search, share, [[1.0] * int(count) for count in search.units]).choose()


def options(count: int, round_to: int) -> list[int]:
    """How many of `count` units may stay: multiples of `round_to`, nothing, or all."""
    return sorted({*range(0, count, round_to), count})


class _Batch:
    """Candidates: places in each family's options [n, families], and what follows from them: channels of each axis
    [n, axes], with a last column of ones for an axis of None, and importance that stays in each layer [n, layers].
    """

    def __init__(self, places: np.ndarray, sizes: np.ndarray, stays: np.ndarray) -> None:
        self.places, self.sizes, self.stays = places, sizes, stays

    def __len__(self) -> int:
        return len(self.places)

    def only(self, these: np.ndarray) -> _Batch:
        """The candidates that an index or a mask names."""
        return _Batch(self.places[these], self.sizes[these], self.stays[these])


class _Walk:
    """One search, with the sums that every candidate needs."""

    def __init__(self, search: Search, share: float, scores: Sequence[Sequence[float]]) -> None:
        self.target = share
        self.options = [np.array(options(int(count), search.round_to)) for count in search.units]
        self.full = np.array([len(one) - 1 for one in self.options], dtype=int)
        self.touches = np.concatenate([search.touches, np.zeros((1, len(search.units)), dtype=int)])
        self.fixed = np.append(search.sizes - search.touches @ search.units, 1)
        self.floor = np.append(np.minimum(search.sizes, search.round_to), 1)
        one = len(search.sizes)
        self.out = np.array([one if term.out is None else term.out for term in search.terms], dtype=int)
        self.into = np.array([one if term.into is None else term.into for term in search.terms], dtype=int)
        self.coefficients = np.array([term.coefficient for term in search.terms])
        sums = [np.concatenate([[0.0], np.cumsum(sorted(values, reverse=True))]) for values in scores]
        self.sums = [sum_[option] for sum_, option in zip(sums, self.options, strict=True)]
        self.layers = search.touches[search.layers].astype(float)
        self.layers_fixed = (search.sizes - search.touches @ search.units)[search.layers].astype(float)
        self.whole = self.layers_fixed + self.layers @ np.array([one[-1] for one in self.sums])
        self.all = float(self.cost(self.batch(self.full[None]))[0])
        self.rate: float  # what is lost for a share of the cost, at the target
        self.nearest: tuple[float, np.ndarray] | None = None
        self.below: float | None = None
        self.above = 1.0

    def batch(self, places: np.ndarray) -> _Batch:
        """Any candidates."""
        pairs = list(zip(self.options, self.sums, places.T, strict=True))
        kept = np.stack([option[column] for option, _, column in pairs], axis=1)
        sums = np.stack([sum_[column] for _, sum_, column in pairs], axis=1)
        return _Batch(places, self.fixed + kept @ self.touches.T, self.layers_fixed + sums @ self.layers.T)

    def changed(self, places: np.ndarray, by: np.ndarray) -> _Batch:
        """The candidates that differ from `places` in one family each, moved by `by` where there is room to move."""
        to = np.clip(places + by, 0, self.full)
        these = np.flatnonzero(to != places)
        start = self.batch(places[None])
        kept = np.array([self.options[one][to[one]] - self.options[one][places[one]] for one in these])
        sums = np.array([self.sums[one][to[one]] - self.sums[one][places[one]] for one in these])
        moved = np.repeat(places[None], len(these), axis=0)
        moved[np.arange(len(these)), these] = to[these]
        return _Batch(
            moved,
            start.sizes + kept[:, None] * self.touches.T[these] if len(these) else start.sizes[:0],
            start.stays + sums[:, None] * self.layers.T[these] if len(these) else start.stays[:0],
        )

    def cost(self, batch: _Batch) -> np.ndarray:
        """The cost of each candidate, in the terms' unit."""
        return np.asarray((batch.sizes[:, self.out] * batch.sizes[:, self.into]) @ self.coefficients)

    def allowed(self, batch: _Batch) -> np.ndarray:
        """Whether each candidate leaves every axis its floor."""
        return np.asarray((batch.sizes >= self.floor).all(axis=1))

    def lost(self, batch: _Batch) -> np.ndarray:
        """What each candidate loses."""
        return np.asarray((self.whole / np.maximum(batch.stays, 1e-9 * self.whole) - 1).sum(axis=1))

    def choose(self) -> Choice:
        """The best candidate within the tolerance."""
        combinations = float(np.prod([float(len(one)) for one in self.options]))
        if combinations == 1:
            raise OutOfReachError(None, 1.0)
        starts = self._greedy()
        best = self._among(self._everything()) if combinations <= FEW else self._climb(starts)
        if best is None:
            raise OutOfReachError(self.below, self.above)
        kept = tuple(int(option[place]) for option, place in zip(self.options, best, strict=True))
        return Choice(kept, float(self.cost(self.batch(best[None]))[0]) / self.all)

    def _greedy(self) -> list[np.ndarray]:
        """Lower one family after the other, where the least is lost for the cost that is saved, until the target is
        passed; the candidates on either side of it. Sets the rate.
        """
        strides = np.maximum(1, self.full // _STEPS)
        path, cost, lost = [self.full], self.all, 0.0
        while cost > self.target * self.all:
            lowered = self.changed(path[-1], -strides)
            lowered = lowered.only(self.allowed(lowered))
            if not len(lowered) and strides.max() == 1:
                break
            if not len(lowered):
                strides = np.ones_like(strides)
                continue
            costs, losses = self.cost(lowered), self.lost(lowered)
            best = int(np.argmin((losses - lost) / np.maximum(cost - costs, 1e-9)))
            path, cost, lost = [path[-1], lowered.places[best]], float(costs[best]), float(losses[best])
        self.rate = lost / (1 - cost / self.all) if cost < self.all else 0.0
        return path

    def _everything(self) -> Iterator[_Batch]:
        places = product(*(range(len(one)) for one in self.options))
        while chunk := list(islice(places, _CHUNK)):
            yield self.batch(np.array(chunk))

    def _climb(self, starts: list[np.ndarray]) -> np.ndarray | None:
        """Try every change of one family and of two, from the starts and then from the nearest so far."""
        for _ in range(_CLIMBS):
            reached = self.nearest
            best = self._among(chunk for start in starts for chunk in self._neighbours(start))
            if best is not None or self.nearest is None or self.nearest is reached:
                return best
            starts = [self.nearest[1]]
        return None

    def _neighbours(self, start: np.ndarray) -> Iterator[_Batch]:
        up, down = np.ones_like(start), -np.ones_like(start)
        yield self.batch(start[None])
        for step in (up, down):
            first = self.changed(start, step)
            yield first
            for places in first.places:
                yield self.changed(places, up)
                yield self.changed(places, down)

    def _among(self, batches: Iterator[_Batch]) -> np.ndarray | None:
        """The best candidate within the tolerance: what it loses, corrected at the going rate for what it keeps above
        the target, and a little for its distance. Remembers the nearest shares on either side.
        """
        best: tuple[float, np.ndarray] | None = None
        for each in batches:
            batch = each.only(self.allowed(each) & (each.places != self.full).any(axis=1))
            if not len(batch):
                continue
            gaps = self.cost(batch) / self.all - self.target
            self._remember(batch.places, gaps)
            near = np.abs(gaps) <= TOLERANCE
            if not near.any():
                continue
            values = self.lost(batch.only(near)) + self.rate * (gaps[near] + 2 * np.abs(gaps[near]))
            place = int(np.argmin(values))
            if best is None or values[place] < best[0] - 1e-12:
                best = (float(values[place]), batch.places[near][place])
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
