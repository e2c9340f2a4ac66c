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


def drawn(item: dict[str, Any], batch: np.ndarray) -> np.ndarray:
    size = (batch.shape[1], batch.shape[2])
    return Augmentation([item], len(batch), size, seed=3, epoch=0).apply(batch, np.arange(len(batch)))


def test_every_shift_is_drawn_and_equally_often() -> None:
    """One bright pixel in the middle of 5 by 5 goes to each of 3 by 3 places, 200 of 1,800 times."""
    batch = np.zeros((1800, 5, 5, 1), np.uint8)
    batch[:, 2, 2] = 1
    places = drawn({"random_crop": {"padding": 1}}, batch).sum(axis=0)[..., 0]
    assert (places[[0, 4]] == 0).all() and (places[:, [0, 4]] == 0).all()
    assert (np.abs(places[1:4, 1:4].astype(int) - 200) < 60).all()


def test_half_of_the_pictures_are_mirrored() -> None:
    batch = np.zeros((1000, 1, 2, 1), np.uint8)
    batch[:, 0, 0] = 1
    assert 430 < drawn({"horizontal_flip": {}}, batch)[:, 0, 1].sum() < 570


def test_holes_have_their_centre_anywhere() -> None:
    """A hole of one pixel: each of 3 by 4 in a twelfth of 1,200 pictures."""
    black = (drawn({"cutout": {"size": 1}}, np.ones((1200, 3, 4, 1), np.uint8)) == 0)[..., 0]
    assert (black.sum(axis=(1, 2)) == 1).all()
    assert (np.abs(black.sum(axis=0) - 100) < 40).all()


@pytest.mark.parametrize(("size", "rows"), [(1, [2]), (2, [1, 2]), (3, [1, 2, 3]), (4, [0, 1, 2, 3])])
def test_a_hole_of_even_size_reaches_further_up_and_left(size: int, rows: list[int]) -> None:
    hole = augment.cutout(np.ones((1, 5, 6, 1), np.uint8), np.array([[2, 3]]), size)[0, :, :, 0] == 0
    assert np.flatnonzero(hole.any(axis=1)).tolist() == rows
    assert np.flatnonzero(hole.any(axis=0)).tolist() == [row + 1 for row in rows]


def test_jitter_is_drawn_between_less_and_more() -> None:
    """Grey 100 of one channel by 1/2 to 3/2: 50 to 150, 100 in the mean; contrast and saturation do nothing to it."""
    item = {"color_jitter": {"brightness": 0.5, "contrast": 0.9, "saturation": 0.9}}
    values = drawn(item, np.full((2000, 1, 1, 1), 100, np.uint8)).reshape(-1)
    assert (50 <= values.min() < 53) and (147 < values.max() <= 150)
    assert abs(values.mean() - 100) < 2


def test_jitter_by_hand() -> None:
    """Brightness 2: 40, 160 to 80, 255. Their mean is 167.5; contrast 1/2 halves the distance, 2 doubles it, clipped."""
    pair = np.array([[[[40], [160]]]], np.uint8)

    def jittered(*factors: float) -> list[int]:
        return augment.color_jitter(pair, np.array([factors], np.float32)).reshape(-1).tolist()

    assert jittered(2, 1, 1) == [80, 255]
    assert jittered(2, 0.5, 1) == [124, 211]  # 123.75 and 211.25
    assert jittered(1, 2, 1) == [0, 220]  # 100 - 120 and 100 + 120
    assert jittered(1, 3, 0) == [0, 255]
    assert jittered(0, 1, 1) == [0, 0]


def test_saturation_by_hand() -> None:
    """(100, 0, 0) is grey 29.9: doubled 170.1, -29.9 and -29.9; white stays white and red is clipped."""
    one = np.array([[[[100, 0, 0]]], [[[255, 255, 255]]], [[[255, 0, 0]]], [[[0, 100, 0]]], [[[0, 0, 100]]]], np.uint8)
    found = augment.color_jitter(one, np.array([[1, 1, 2], [1, 1, 3], [1, 1, 3], [1, 1, 0], [1, 1, 0]], np.float32))
    assert found.reshape(-1, 3).tolist() == [[170, 0, 0], [255, 255, 255], [255, 0, 0], [59, 59, 59], [11, 11, 11]]


@pytest.mark.parametrize(
    ("place", "box"),
    [((0.0, 0.0), (0, 0, 20, 10)), ((0.999, 0.999), (80, 30, 20, 10)), ((0.5, 0.25), (20, 15, 20, 10))],
)
def test_a_part_of_a_picture_by_hand(place: tuple[float, float], box: tuple[int, int, int, int]) -> None:
    """Of 40 by 100 a twentieth, 200 pixels, twice as wide as high: 10 by 20, in one of 31 rows and 81 columns."""
    draws = np.array([[0.0, 1.0], place])
    assert augment.crop_box((40, 100), draws, (0.05, 1.0), (0.5, 2.0)) == box


def test_areas_and_shapes_by_hand() -> None:
    """A draw of 1/2 is the middle of the areas, and of the logarithms of the shapes: of 1/4 and 4 it is 1."""
    draws = np.array([[0.5, 0.5], [0.0, 0.0]])
    assert augment.crop_box((20, 20), draws, (0.25, 0.75), (0.25, 4.0)) == (0, 0, 14, 14)  # 200 pixels
    draws[0] = 0.0, 0.0
    assert augment.crop_box((20, 20), draws, (0.25, 0.75), (0.25, 4.0)) == (0, 0, 5, 20)  # 100 pixels, as high as it


@pytest.mark.parametrize(
    ("size", "ratio", "box"),
    [
        ((100, 10), (0.5, 2.0), (0, 40, 10, 20)),
        ((10, 100), (0.5, 2.0), (40, 0, 20, 10)),
        ((10, 15), (0.5, 2.0), (0, 0, 15, 10)),
        ((10, 20), (2.0, 4.0), (0, 0, 20, 10)),
        ((1, 9), (0.1, 0.3), (4, 0, 1, 1)),
    ],
)
def test_the_largest_middle_part_of_an_allowed_shape(
    size: tuple[int, int], ratio: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    assert augment.crop_box(size, np.full((3, 2), 0.999), (50.0, 50.0), ratio) == box
