"""Golden samples: a few pictures of the test set with what the network got and gave, so that any device can compare."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compressor.bundle import plain_pictures
from compressor.device.pictures import decode

FEWEST, MOST = 8, 16
LARGEST_INPUTS, MOST_MEMORY = 8 * 2**20, 128 * 2**20
LARGEST_FILE = 1_000_000
_HEADERS = 1024
JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Golden:
    """encoded: a file's bytes a sample. inputs [n, …] and outputs [n, …] as the shipped file has them.
    targets, indices: int64 [n], indices are places in the test set. tolerance, median_tolerance: of the samples'
    largest differences on another CPU, the largest and the median."""

    encoded: Sequence[bytes]
    inputs: np.ndarray
    outputs: np.ndarray
    targets: np.ndarray
    indices: np.ndarray
    tolerance: float
    median_tolerance: float
    input_tolerance: float


def choose(targets: np.ndarray, bytes_each: int) -> list[int]:
    """Places in `targets` [n], ascending, spread over the classes: one of each in turn until there are enough.

    At most 16, at least 8 where there are as many; fewer than 16 where the inputs would take more than 8 MiB, and fewer
    than 8 where they would take more than 128 MiB.

    >>> choose(np.array([0, 0, 1, 1, 2, 2, 0, 1, 2]), 1)[:4]
    [0, 1, 2, 3]
    """
    classes, of_class = np.unique(targets, return_inverse=True)
    wanted = max(FEWEST, min(MOST, LARGEST_INPUTS // max(bytes_each, 1)))
    wanted = min(len(targets), max(1, min(wanted, MOST_MEMORY // max(bytes_each, 1))))
    # The k-th sample of its class comes in round k, so a stable sort by round takes every class in turn.
    rounds = np.empty(len(targets), dtype=np.int64)
    for number in range(len(classes)):
        members = np.flatnonzero(of_class == number)
        rounds[members] = np.arange(len(members))
    order = np.lexsort((np.arange(len(targets)), of_class, rounds))
    first_round = order[: len(classes)]
    if len(classes) > wanted:
        return sorted(int(first_round[place]) for place in np.linspace(0, len(classes) - 1, wanted).round().astype(int))
    return sorted(int(place) for place in order[:wanted])


def pictures(raw: Sequence[bytes], model: Any, output_bytes: int) -> tuple[list[int], list[bytes], np.ndarray]:
    """What of these pictures fits into a file of a million bytes: places, pictures as they may leave the house, inputs.

    raw: files' bytes. model: the runner's. output_bytes: of one sample's output. Where the smallest alone is too large,
    it becomes coarser until its input packs well enough.
    """
    steps = model.facts["preprocess"]
    encoded = [plain_pictures.plain(one, steps) for one in raw]
    inputs = [_input(one, model) for one in encoded]
    sizes = [size(*both) + output_bytes for both in zip(encoded, inputs, strict=True)]
    if kept := fitting(sizes):
        return kept, [encoded[place] for place in kept], np.stack([inputs[place] for place in kept])
    smallest = int(np.argmin(sizes))
    for form in plain_pictures.forms(raw[smallest], steps):
        encoded, inputs = [form], [_input(form, model)]
        if size(form, inputs[0]) + output_bytes <= LARGEST_FILE:
            break
    return [smallest], encoded, np.stack(inputs)


def _input(encoded: bytes, model: Any) -> np.ndarray:
    return np.asarray(model.prepare(decode(encoded)))


def size(encoded: bytes, given: np.ndarray) -> int:
    """Bytes that a picture and the network's input of it take in samples.npz."""
    return len(zlib.compress(given.tobytes())) + len(encoded) + _HEADERS


def fitting(sizes: Sequence[int]) -> list[int]:
    """Places of the samples, ascending and evenly spread, that take at most a million bytes; else the smallest alone.

    None where not even that fits.
    """
    for count in range(len(sizes), 1, -1):
        places = [int(place) for place in np.linspace(0, len(sizes) - 1, count).round()]
        if sum(sizes[place] for place in places) <= LARGEST_FILE:
            return places
    smallest = int(np.argmin(sizes))
    return [smallest] if sizes[smallest] <= LARGEST_FILE else []


def input_tolerance(encoded: Sequence[bytes], preprocess: Sequence[Mapping[str, object]], pixels: bool) -> float:
    """How far a device's input may be from the stored one: one grey level where JPEG decoding or resizing is involved,
    which differ between builds of Pillow, else nothing. In grey levels for pixels, else as scaled by `preprocess`."""
    resized = any("resize" in item for item in preprocess)
    if not resized and not any(picture.startswith(JPEG) for picture in encoded):
        return 0.0
    if pixels:
        return 1.0
    scale, spread = 1.0, 1.0
    for item in preprocess:
        for name, value in item.items():
            if name == "scale" and isinstance(value, int | float):
                scale = float(value)
            elif name == "std" and isinstance(value, list | tuple):
                spread = min(float(part) for part in value)
    return float(np.float32(1.001 / scale / spread))


def write(path: Path, golden: Golden) -> None:
    """samples.npz: `encoded_0` … uint8 [bytes], `input`, `output`, `target`, `index`, `tolerance`,
    `median_tolerance`, `input_tolerance`.

    No objects; equal samples give equal bytes (numpy writes no time into the archive).
    """
    encoded = {f"encoded_{place}": np.frombuffer(one, dtype=np.uint8) for place, one in enumerate(golden.encoded)}
    arrays: dict[str, np.ndarray] = {
        "input": golden.inputs,
        "output": golden.outputs,
        "target": golden.targets.astype(np.int64),
        "index": golden.indices.astype(np.int64),
        "tolerance": np.array(golden.tolerance, dtype=np.float64),
        "median_tolerance": np.array(golden.median_tolerance, dtype=np.float64),
        "input_tolerance": np.array(golden.input_tolerance, dtype=np.float64),
        **encoded,
    }
    with path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
