"""Which samples travel with a bundle, and how far a device's input may be off, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compressor.bundle import golden

MIB = 2**20


def test_one_of_each_class_in_turn() -> None:
    """Three classes of 2, 9 and 9: rounds 0 and 1 have three each, the five that follow two each."""
    targets = np.array([0] * 2 + [1] * 9 + [2] * 9)
    assert golden.choose(targets, 1) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(
    ("samples", "bytes_each", "count"),
    [
        (100, 0, 16), (100, MIB // 2, 16), (100, MIB // 2 + 1, 15), (100, MIB, 8), (100, 8 * MIB, 8), (100, 16 * MIB, 8),
        (100, 16 * MIB + 1, 7), (100, 128 * MIB, 1), (100, 500 * MIB, 1), (5, 1, 5), (0, 1, 0),
    ],
)  # fmt: skip
def test_as_many_as_memory_allows(samples: int, bytes_each: int, count: int) -> None:
    assert len(golden.choose(np.arange(samples) % 4, bytes_each)) == count


def test_of_many_classes_an_even_choice() -> None:
    """31 classes, the first of each at twice its number: every second of them, first and last included."""
    targets = np.repeat(np.arange(31), 2)
    assert golden.choose(targets, 1) == [4 * place for place in range(16)]
    assert golden.choose(np.repeat(np.arange(16), 2), 1) == [2 * place for place in range(16)]


@pytest.mark.parametrize(
    ("sizes", "places"),
    [
        ([100] * 3, [0, 1, 2]),
        ([500_000, 500_000], [0, 1]),
        ([500_000, 500_001], [0]),
        ([500_001, 500_000], [1]),
        ([300_000, 600_000, 300_000], [0, 2]),  # of three the two at the ends
        ([900_000, 1, 900_000, 1_000_000], [1]),
        ([1_000_000], [0]),
        ([1_000_001], []),
        ([1_000_001, 1_000_000], [1]),
    ],
)
def test_what_fits_into_a_million_bytes(sizes: list[int], places: list[int]) -> None:
    assert golden.fitting(sizes) == places


RESIZED: list[dict[str, Any]] = [{"resize": {"shortest": 8}}]
NUMBERS: list[dict[str, Any]] = [{"scale": 128}, {"mean": [9, 9, 9]}, {"std": [0.5, 0.25, 2.0]}]


@pytest.mark.parametrize(
    ("encoded", "steps", "pixels", "tolerance"),
    [
        (b"\x89PNG", NUMBERS, False, 0.0),
        (b"\x89PNG", [], True, 0.0),
        (b"\xff\xd8\xff\xe0", [], True, 1.0),
        (b"\x89PNG", RESIZED, True, 1.0),
        (b"\x89PNG", RESIZED, False, 1.001),
        (b"\xff\xd8\xff\xe0", NUMBERS, False, 1.001 / 128 / 0.25),  # a grey level over the smallest deviation
        (b"\x89PNG", RESIZED + NUMBERS, False, 1.001 / 128 / 0.25),
    ],
)
def test_one_grey_level_where_decoding_or_resizing_may_differ(
    encoded: bytes, steps: list[dict[str, Any]], pixels: bool, tolerance: float
) -> None:
    assert golden.input_tolerance([b"\x89PNG", encoded], steps, pixels) == pytest.approx(tolerance, rel=1e-6)


def test_a_sample_takes_its_picture_its_packed_input_and_headers() -> None:
    """Zeros pack to next to nothing, noise to what it is."""
    noise = np.random.default_rng(0).integers(0, 256, 10_000, dtype=np.uint8)
    assert 1024 + 5 < golden.size(b"12345", np.zeros(10_000, np.uint8)) < 1024 + 5 + 100
    assert 1024 + 5 + 10_000 <= golden.size(b"12345", noise) < 1024 + 5 + 10_100
