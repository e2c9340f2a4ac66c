"""Whether a sample's answer depends on the samples beside it, on their order or on their number, in an ONNX file."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

from compressor.device.memory import short_of_memory
from compressor.models import company
from compressor.models.company import LARGE, MANY, ROUNDING
from compressor.onnx_graph import allowance, bits, mixing, session
from compressor.onnx_graph.clean import first_line

ANSWERS = 200
"""Answers to two samples that take as long as `find` at most, what tells of a graph's rounding included."""
HALF, DYNAMIC = 1e-2, 0.1
"""Shares of the outputs' spread: what rounding to 16 bits does, and what scales do that are taken from the batch. Such
scales are a batch's by design; they move an answer by a step of 8 bits here and there, and beyond this they matter."""
UNKNOWN = 1e-3
"""A share of the largest output, where what rounding does to a graph cannot be measured."""


def find(path: Path, opened: ort.InferenceSession, samples: np.ndarray) -> tuple[str, str] | None:
    """What is wrong and what to do, where samples alone, in other company, in another order or a second time get
    other answers than before; None where they get the same, within what rounding does to this graph.

    opened: the file's session. samples: [n, …] as its input takes them, n at least 8 where the network is quick.
    Raises what onnxruntime raises where the file cannot be run at all.
    """
    run = _Run(opened, samples)
    try:
        run.answer([0, 1])
        began = time.perf_counter()
        run.answer([0, 1])
        count = company.count(time.perf_counter() - began)
        count = min(count, len(samples), run.size if run.size and run.size > 1 else MANY)
        usual = run.answer(list(range(count)))
    except Exception as problem:  # onnxruntime has a dozen exception types without a common one
        if short_of_memory(problem) or (found := _takes_one_size(path, run, problem)) is None:
            raise
        return found
    if run.size == 1 and usual.ndim < 2:
        return mixing.size_words(path, "one sample alone is answered without the axis of the batch", "", alone=True)
    if usual.shape[:1] != (count,):
        every, same = run.batch([*range(count)]), run.batch([count - 1] * count)
        return mixing.rows_words(path, every, same, f"it answers {count} samples with {list(usual.shape)} numbers")
    return _compare(path, run, usual, quick=count == MANY and run.size is None)


class Noise:
    """What rounding may do to the outputs of a file, measured when it is asked for.

    inputs, outputs: [n, …] of the file.
    """

    def __init__(self, path: Path, inputs: np.ndarray, outputs: np.ndarray) -> None:
        self._path, self._inputs, self._outputs = path, inputs, outputs
        values = np.ma.masked_invalid(outputs.astype(np.float64))
        self.scale = float(np.ma.abs(values).filled(0).max(initial=0))
        self.spread = float(np.ma.abs(values - values.mean(0)).filled(0).max(initial=0))

    def explains(self, distance: float) -> bool:
        """Whether a difference of an output may be rounding: none where the operators give the same bits in any
        order."""
        if distance == 0 or self._proven:
            return distance == 0
        return distance <= ROUNDING * min(self.scale, 1000 * self.spread) or distance <= self._allowed

    @cached_property
    def _proven(self) -> bool:
        try:
            return bool(bits.judge(self._path)["proven"])
        except Exception:  # a graph that cannot be looked at: its weights lie elsewhere, its names are odd
            return False

    @cached_property
    def _allowed(self) -> float:
        kinds = mixing.kinds(onnx.load(self._path, load_external_data=False))
        found = UNKNOWN * self.scale
        if np.isfinite(self._outputs).all():
            with suppress(Exception):  # as above
                found = allowance.allowance(self._path, self._inputs, self._outputs).largest
        return max(found, HALF * self.spread * kinds.half, DYNAMIC * self.spread * kinds.dynamic)


class _Run:
    """A session and samples. size: the batch that the file was made for, None where it takes any."""

    def __init__(self, opened: ort.InferenceSession, samples: np.ndarray) -> None:
        self.size, self._session, self.samples = session.fixed_batch(opened), opened, samples

    def answer(self, places: list[int]) -> np.ndarray:
        return session.answer(self._session, self.samples[places])

    def batch(self, places: list[int]) -> np.ndarray:
        """The samples at these places as one batch that the file takes."""
        found = self.samples[places]
        if self.size is None or len(found) >= self.size:
            return found[: self.size]
        return np.concatenate([found, np.zeros((self.size - len(found), *found.shape[1:]), found.dtype)])


def _compare(path: Path, run: _Run, usual: np.ndarray, *, quick: bool) -> tuple[str, str] | None:
    every = list(range(len(usual)))
    noise = Noise(path, run.samples[every], usual)
    for places in company.batches(every, quick=quick):
        try:
            answer = run.answer(places)
        except Exception as problem:  # onnxruntime has a dozen exception types without a common one
            if short_of_memory(problem):
                raise
            return _cannot(path, run, places, len(every), problem)
        if answer.shape != usual[places].shape:
            return _cannot(path, run, places, len(every), None)
        again = places == every
        distance = distance_of(answer, usual[places])
        if distance <= ROUNDING * noise.scale if again else noise.explains(distance):
            continue
        row = next(row for row, place in enumerate(places) if distance_of(answer[row], usual[place]) >= distance)
        one, other = (run.batch(every), places[row]), (run.batch(places), row)
        return mixing.why(path, one, other, again=again, count=len(places))
    return None


def _cannot(path: Path, run: _Run, places: list[int], usual: int, problem: Exception | None) -> tuple[str, str]:
    """A smaller or larger batch fails, or is answered in another shape."""
    failed = company.failed(len(places), None if problem is None else first_line(problem))
    words = f"{failed}, though {usual} are answered"
    return mixing.size_words(path, words, str(problem or ""), alone=len(places) == 1)


def _takes_one_size(path: Path, run: _Run, problem: Exception) -> tuple[str, str] | None:
    """What to say where the file fails for some samples at once, and answers a batch of another size."""
    failed = f"batches of another size fail ({first_line(problem)})"
    for node, size in mixing.fixed_shapes(onnx.load(path, load_external_data=False).graph):
        if 1 < size <= LARGE and _answers(run, size):
            return mixing.one_size_words(node, size, failed)
    if not _answers(run, 1):
        return None
    what = f"more than one sample at once fail ({first_line(problem)}), though its input leaves the batch open"
    return mixing.size_words(path, what, str(problem), alone=False)


def _answers(run: _Run, size: int) -> bool:
    try:
        run.answer([place % len(run.samples) for place in range(size)])
    except Exception:  # it fails for a reason that has nothing to do with the batch
        return False
    return True


def distance_of(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of arrays of one shape; equal infinities, and two that are no numbers, have none."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    unlike = (one != other) & ~(np.isnan(one) & np.isnan(other))
    distance = np.abs(one[unlike] - other[unlike]).max(initial=0)
    return float("inf") if np.isnan(distance) else float(distance)
