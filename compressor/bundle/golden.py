"""Golden samples: a few pictures of the test set with what the network got and gave, so that any device can compare."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FEWEST, MOST = 8, 16
LARGEST_INPUTS = 8 * 2**20
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

    At most 16, at least 8 where there are as many; fewer than 16 where the inputs would take more than 8 MiB.

    >>> choose(np.array([0, 0, 1, 1, 2, 2, 0, 1, 2]), 1)[:4]
    [0, 1, 2, 3]
    """
    classes, of_class = np.unique(targets, return_inverse=True)
    wanted = min(len(targets), max(FEWEST, min(MOST, LARGEST_INPUTS // max(bytes_each, 1))))
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


def fitting(encoded: Sequence[bytes], inputs: np.ndarray, output_bytes: int) -> list[int]:
    """Places of the samples, ascending and evenly spread, that fit into a file of a million bytes; at least one.

    inputs: [n, …] as the network gets them. output_bytes: of one sample's output.
    """
    sizes = [
        len(zlib.compress(one.tobytes())) + len(picture) + output_bytes + _HEADERS
        for one, picture in zip(inputs, encoded, strict=True)
    ]
    for count in range(len(sizes), 1, -1):
        places = [int(place) for place in np.linspace(0, len(sizes) - 1, count).round()]
        if sum(sizes[place] for place in places) <= LARGEST_FILE:
            return places
    return [0]


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
