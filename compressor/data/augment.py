"""Random changes of training pictures: numbers drawn for a whole epoch, then applied to batches at once.

Every number belongs to (seed, augmentation, epoch, sample), so an epoch resumed in its middle, or cut into other
batches, changes each picture as it would have been changed anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from compressor.data.splits import generator

ATTEMPTS = 10
GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Augmentation:
    """The changes of one epoch. items: `[{name: settings}]`, in the order in which they are applied."""

    def __init__(
        self, items: Sequence[Mapping[str, Any]], samples: int, size: tuple[int, int], *, seed: int, epoch: int
    ) -> None:
        self.settings = {name: settings for item in items for name, settings in item.items()}
        self._drawn = {
            name: _draw(name, settings, samples, size, generator(seed, f"augment/{name}", epoch))
            for name, settings in self.settings.items()
        }

    @property
    def cuts_source(self) -> bool:
        """Whether pictures must come from their source, through `resized_crop`, instead of the prepared pixels."""
        return "random_resized_crop" in self.settings

    def resized_crop(self, image: Image.Image, index: int, size: tuple[int, int], how: Image.Resampling) -> Image.Image:
        """A random part of a picture, resized to (height, width)."""
        settings = self.settings["random_resized_crop"]
        left, top, width, height = crop_box(
            (image.height, image.width), self._drawn["random_resized_crop"][index], settings["scale"], settings["ratio"]
        )
        return image.resize((size[1], size[0]), how, box=(left, top, left + width, top + height))

    def apply(self, pixels: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """uint8 [batch, height, width, channels] changed; indices: int64 [batch], their places in the split."""
        for name, settings in self.settings.items():
            drawn = self._drawn[name][indices]
            if name == "random_crop":
                pixels = random_crop(pixels, drawn, settings["padding"])
            elif name == "horizontal_flip":
                pixels = horizontal_flip(pixels, drawn)
            elif name == "cutout":
                pixels = cutout(pixels, drawn, settings["size"])
            elif name == "color_jitter":
                pixels = color_jitter(pixels, drawn)
            elif name == "trivial_augment":
                pixels = trivial_augment(pixels, drawn)
        return pixels


def _draw(
    name: str, settings: Mapping[str, Any], samples: int, size: tuple[int, int], random: np.random.Generator
) -> np.ndarray:
    if name == "random_crop":
        return random.integers(0, 2 * settings["padding"] + 1, (samples, 2))
    if name == "horizontal_flip":
        return random.random(samples) < 0.5
    if name == "cutout":
        return random.integers(0, size, (samples, 2))
    if name == "color_jitter":
        reach = np.array([settings[part] for part in ("brightness", "contrast", "saturation")])
        return (1 + reach * (2 * random.random((samples, 3)) - 1)).astype(np.float32)
    if name == "trivial_augment":
        return random.integers(0, 2**63 - 1, samples)
    return random.random((samples, ATTEMPTS + 1, 2))


def random_crop(pixels: np.ndarray, offsets: np.ndarray, padding: int) -> np.ndarray:
    """Each picture of the batch cut, in its own size, from itself with `padding` black pixels around.

    offsets: int64 [batch, 2], row and column of the cut in 0..2*padding; `padding` itself changes nothing.
    """
    height, width = pixels.shape[1:3]
    padded = np.pad(pixels, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    cut: np.ndarray = windows[np.arange(len(pixels)), offsets[:, 0], offsets[:, 1]]
    return cut.transpose(0, 2, 3, 1)


def horizontal_flip(pixels: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Mirrored where `flips` (bool [batch]) says so."""
    flipped = pixels.copy(order="K")
    flipped[flips] = pixels[flips, :, ::-1]
    return flipped


def cutout(pixels: np.ndarray, centres: np.ndarray, size: int) -> np.ndarray:
    """Black in a square of `size` around each picture's centre (int64 [batch, 2], row and column)."""
    rows, columns = (np.arange(length)[None, :] for length in pixels.shape[1:3])
    first = centres - size // 2
    in_rows = (rows >= first[:, :1]) & (rows < first[:, :1] + size)
    in_columns = (columns >= first[:, 1:]) & (columns < first[:, 1:] + size)
    hole = in_rows[:, :, None] & in_columns[:, None, :]
    blackened = pixels.copy(order="K")
    blackened[hole] = 0
    return blackened


def color_jitter(pixels: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Brightness, then contrast, then saturation, each by its factor (float32 [batch, 3]); 1 changes nothing."""
    values = pixels.astype(np.float32)
    brightness, contrast, saturation = (factors[:, part, None, None, None] for part in range(3))
    values = np.clip(values * brightness, 0, 255)
    mean = _grey(values).mean(axis=(1, 2), keepdims=True)
    values = np.clip(mean + contrast * (values - mean), 0, 255)
    if values.shape[3] == 3:
        grey = _grey(values)
        values = np.clip(grey + saturation * (values - grey), 0, 255)
    changed: np.ndarray = np.rint(values).astype(np.uint8)
    return changed


def _grey(values: np.ndarray) -> np.ndarray:
    if values.shape[3] == 1:
        return values
    grey: np.ndarray = np.einsum("bhwc,c->bhw", values, GREY)
    return np.expand_dims(grey, 3)


def trivial_augment(pixels: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """torchvision's TrivialAugmentWide, picture by picture; the global generator of torch is left as it was."""
    import torch
    from torchvision.transforms import v2

    transform, changed = v2.TrivialAugmentWide(), np.empty(pixels.shape, dtype=np.uint8)
    with torch.random.fork_rng(devices=[]):
        for place, (picture, seed) in enumerate(zip(pixels, seeds, strict=True)):
            torch.default_generator.manual_seed(int(seed))
            tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
            changed[place] = transform(tensor).numpy().transpose(1, 2, 0)
    return changed


def crop_box(
    size: tuple[int, int], drawn: np.ndarray, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """(left, top, width, height) of a part of a picture of (height, width).

    drawn: float64 [attempts + 1, 2] in [0, 1): area and shape of each attempt, then the place. A picture in which no
    attempt fits gives its largest middle part of an allowed shape.
    """
    height, width = size
    low, high = np.log(ratio[0]), np.log(ratio[1])
    across, down = _middle(width, height, ratio)
    for area_draw, shape_draw in drawn[:-1]:
        area = height * width * (scale[0] + (scale[1] - scale[0]) * area_draw)
        shape = float(np.exp(low + (high - low) * shape_draw))
        w, h = round((area * shape) ** 0.5), round((area / shape) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = int(drawn[-1, 1] * (width - w + 1)), int(drawn[-1, 0] * (height - h + 1))
            return left, top, w, h
    return (width - across) // 2, (height - down) // 2, across, down


def _middle(width: int, height: int, ratio: Sequence[float]) -> tuple[int, int]:
    if width / height < ratio[0]:
        return width, max(1, min(height, round(width / ratio[0])))
    if width / height > ratio[1]:
        return max(1, min(width, round(height * ratio[1]))), height
    return width, height
