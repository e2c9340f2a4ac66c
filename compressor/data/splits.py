"""Which samples are held out. Pure functions of the labels and a purpose: a split never depends on a seed."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*parts: int | str) -> np.random.Generator:
    """A stream of its own for each purpose: `generator(seed, "order", epoch)`.

    Words enter by their SHA-256, so that two purposes never share a stream and no global state is touched.
    """
    words: list[int] = []
    for part in parts:
        if isinstance(part, str):
            words += np.frombuffer(hashlib.sha256(part.encode()).digest()[:16], dtype="<u4").tolist()
        else:
            words += [part & 0xFFFFFFFF, part >> 32]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def count(size: float, available: int) -> int:
    """Samples that `size` stands for: a share below 1, else a count. At least 1 where there are any to take."""
    return int(size) if size >= 1 else max(1, round(size * available))


def hold_out(targets: np.ndarray, held: int, purpose: str) -> np.ndarray:
    """bool [samples], True for the `held` samples taken out, each class in its proportion.

    targets: int64 [samples]. Remainders go to the classes with the largest fractions, ties to the lower class.

    Raises:
        ValueError: `held` would leave nothing, or takes nothing.
    """
    if not 0 < held < len(targets):
        raise ValueError(f"{held:,} of {len(targets):,} samples cannot be held out")
    classes, sizes = np.unique(targets, return_counts=True)
    # Whole-number arithmetic: a share computed in floating point could round differently on another machine.
    quotas, rests = np.divmod(sizes.astype(np.int64) * held, len(targets))
    for place in np.lexsort((classes, -rests))[: held - int(quotas.sum())]:
        quotas[place] += 1
    order = generator("split", purpose).permutation(len(targets))
    taken = np.zeros(len(targets), dtype=bool)
    for label, quota in zip(classes, quotas, strict=True):
        taken[order[targets[order] == label][:quota]] = True
    return taken


def few(targets: np.ndarray, most: int) -> np.ndarray:
    """int64 [<= most], ascending: a fixed handful of every class, for a smoke run or a calibration."""
    if len(targets) <= most:
        return np.arange(len(targets))
    return np.flatnonzero(hold_out(targets, most, "few"))
