"""Augmentation: what each change does, and that an epoch is the same however it is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.data import augment
from compressor.data.augment import Augmentation

EVERY: list[dict[str, Any]] = [
    {"random_crop": {"padding": 2}},
    {"horizontal_flip": {}},
    {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}},
    {"trivial_augment": {}},
    {"cutout": {"size": 3}},
]


def pixels(samples: int = 6, channels: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (samples, side, side, channels), dtype=np.uint8)


def test_random_crop_shifts_by_hand() -> None:
    picture = np.arange(1, 5, dtype=np.uint8).reshape(1, 2, 2, 1)
    stacked = np.concatenate([picture] * 3)
    cut = augment.random_crop(stacked, np.array([[1, 1], [0, 0], [2, 1]]), 1)[..., 0]
    assert cut.tolist() == [[[1, 2], [3, 4]], [[0, 0], [0, 1]], [[3, 4], [0, 0]]]


def test_flip_mirrors_only_the_chosen() -> None:
    picture = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    flipped = augment.horizontal_flip(np.concatenate([picture] * 2), np.array([True, False]))[..., 0]
    assert flipped.tolist() == [[[1, 0], [3, 2]], [[0, 1], [2, 3]]]


def test_cutout_blackens_a_square_and_may_hang_over() -> None:
    white = np.full((2, 4, 4, 1), 255, dtype=np.uint8)
    holes = augment.cutout(white, np.array([[2, 2], [0, 0]]), 2)[..., 0] == 0
    assert np.argwhere(holes[0]).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert np.argwhere(holes[1]).tolist() == [[0, 0]]


def test_jitter_by_one_changes_nothing_and_by_a_half_darkens() -> None:
    batch = pixels(2)
    assert (augment.color_jitter(batch, np.ones((2, 3), dtype=np.float32)) == batch).all()
    dark = augment.color_jitter(batch, np.array([[0.5, 1, 1], [1, 0, 1]], dtype=np.float32))
    assert (dark[0] == np.rint(batch[0] * 0.5)).all()
    grey = np.clip(batch[1].astype(np.float32), 0, 255) @ augment.GREY
    assert (np.unique(dark[1]) == np.rint(grey.mean())).all()


def test_without_saturation_a_picture_is_grey() -> None:
    batch = augment.color_jitter(pixels(1), np.array([[1, 1, 0]], dtype=np.float32))
    assert (batch.max(axis=3) == batch.min(axis=3)).all()


@pytest.mark.parametrize("item", EVERY, ids=lambda item: next(iter(item)))
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sample_is_changed_alike_in_every_batch(item: dict[str, Any], channels: int) -> None:
    batch, places = pixels(channels=channels), np.arange(6)
    whole = Augmentation([item], 6, (8, 8), seed=1, epoch=2).apply(batch, places)
    again = Augmentation([item], 6, (8, 8), seed=1, epoch=2)
    assert (again.apply(batch[[4, 1]], places[[4, 1]]) == whole[[4, 1]]).all()
    assert whole.dtype == np.uint8
    assert whole.shape == batch.shape
    others = [Augmentation([item], 6, (8, 8), seed=seed, epoch=epoch) for seed, epoch in ((1, 3), (2, 2))]
    assert all((other.apply(batch, places) != whole).any() for other in others)


def test_the_source_is_left_as_it_was() -> None:
    batch = pixels()
    before = batch.copy()
    Augmentation(EVERY, 6, (8, 8), seed=1, epoch=0).apply(batch, np.arange(6))
    assert (batch == before).all()


def test_torchs_global_generator_is_neither_used_nor_moved() -> None:
    import torch

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = augment.trivial_augment(pixels(), np.arange(6))
    assert (torch.get_rng_state() == state).all()
    torch.manual_seed(99)
    assert (augment.trivial_augment(pixels(), np.arange(6)) == first).all()


def test_crop_box_by_hand() -> None:
    drawn = np.zeros((3, 2))
    drawn[0] = 1.0, 0.5  # the whole area, square: fits a square picture only
    assert augment.crop_box((40, 40), drawn, (0.25, 1.0), (0.5, 2.0)) == (0, 0, 40, 40)
    drawn[0], drawn[1], drawn[2] = (1.0, 1.0), (0.0, 0.5), (0.999, 0.5)
    # The first attempt, 57x28 (width over height 2), is too wide; the second is a quarter of the area, 20x20.
    assert augment.crop_box((40, 40), drawn, (0.25, 1.0), (0.5, 2.0)) == (10, 20, 20, 20)


@pytest.mark.parametrize(("size", "box"), [((100, 10), (0, 43, 10, 13)), ((10, 100), (43, 0, 13, 10))])
def test_a_shape_that_never_fits_gives_the_middle(size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    assert augment.crop_box(size, np.ones((3, 2)), (1.0, 1.0), (3 / 4, 4 / 3)) == box


def test_random_resized_crop_has_the_networks_size() -> None:
    changes = Augmentation(
        [{"random_resized_crop": {"scale": (0.1, 1.0), "ratio": (0.75, 1.33)}}], 3, (8, 8), seed=0, epoch=0
    )
    assert changes.cuts_source
    small = changes.resized_crop(Image.new("RGB", (50, 30)), 2, (8, 9), Image.Resampling.BILINEAR)
    assert small.size == (9, 8)
