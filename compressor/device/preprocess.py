"""From a picture to the numbers of a network: the only implementation of preprocessing there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .refused import Unfit

Steps = Sequence[Mapping[str, Any]]


DEPTHS = (8, 10, 12, 16)
NUMERIC = ("scale", "mean", "std")
MODES = {"rgb": "RGB", "gray": "L"}
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def geometric(image: Image.Image, steps: Steps) -> np.ndarray:
    """uint8 [height, width, channels] after bits, resize, pad, center_crop and channels, in the order given.

    Unfit where the picture has other channels than grey or RGB and no `channels` step, is smaller than a crop,
    or is larger than a pad.
    """
    image = coloured(image, steps)
    for item in steps:
        ((name, value),) = item.items()
        if name == "resize":
            size = resized((image.height, image.width), value)
            image = image.resize((size[1], size[0]), INTERPOLATIONS[value.get("interpolation", "bilinear")])
        elif name == "pad":
            image = _padded(image, value["to"], value.get("fill", 0))
        elif name == "center_crop":
            image = _center_cropped(image, value)
        elif name == "channels":
            image = image.convert(MODES[value])
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])


def coloured(image: Image.Image, steps: Steps) -> Image.Image:
    """The picture as the first change of size finds it: in a plain mode, or converted where `channels` comes first."""
    converts = next((item["channels"] for item in steps if "channels" in item), None)
    bits = next((item["bits"] for item in steps if "bits" in item), DEPTHS[-1])
    image = plain_mode(image, converts=converts is not None, bits=bits)
    first = next((name for item in steps for name in item if name != "bits"), "")
    return image.convert(MODES[converts]) if converts is not None and first == "channels" else image


def resized(size: Sequence[int], value: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) that `resize: value` makes of (height, width)."""
    if "exact" in value:
        return int(value["exact"][0]), int(value["exact"][1])
    height, width = size
    one_side = min(size) if "shortest" in value else max(size)
    target = int(value["shortest"] if "shortest" in value else value["longest"])
    # Whole numbers, rounded down, as torchvision does: the side that is named is met exactly.
    return max(1, target * height // one_side), max(1, target * width // one_side)


def plain_mode(image: Image.Image, *, converts: bool, bits: int = DEPTHS[-1]) -> Image.Image:
    """The picture as L or RGB, or as what `channels` can convert: resizing a palette would not be antialiased.

    bits: how many of a grey pixel's 16 bits are used; the upper eight of them are kept.
    """
    if image.mode in ("L", "RGB"):
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P" and "transparency" not in image.info:
        return image.convert("RGB")
    if not converts:
        raise Unfit(f"the picture is {image.mode}, not RGB or grey", "add `channels: rgb` (or gray) to preprocess")
    if image.mode.startswith("I"):
        # 16 bits a pixel; Pillow's own conversion would clip everything above 255 to white.
        shades = np.clip(np.asarray(image).astype(np.int64), 0, 2**bits - 1) >> (bits - 8)
        return Image.fromarray(shades.astype(np.uint8))
    if image.mode == "F":
        raise Unfit("the picture holds floating-point pixels (mode F)", "save it with 8 bits a channel")
    return image if image.mode in ("RGBA", "LA") else image.convert("RGBA" if image.mode in ("P", "PA") else "RGB")


def _padded(image: Image.Image, to: Sequence[int], fill: int) -> Image.Image:
    height, width = to
    if image.height > height or image.width > width:
        size = f"{image.height}x{image.width}"
        raise Unfit(f"pad: the picture is {size}, more than {height}x{width}", "resize it first")
    canvas = Image.new(image.mode, (width, height), (fill,) * len(image.getbands()))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def _center_cropped(image: Image.Image, size: Sequence[int]) -> Image.Image:
    height, width = size
    if image.height < height or image.width < width:
        found = f"{image.height}x{image.width}"
        raise Unfit(f"center_crop: the picture is {found}, less than {height}x{width}", "resize it first")
    top, left = round((image.height - height) / 2), round((image.width - width) / 2)
    return image.crop((left, top, left + width, top + height))


def numeric(pixels: np.ndarray, steps: Steps) -> np.ndarray:
    """float32 [n, channels, height, width], C-contiguous, from uint8 [n, height, width, channels].

    Every operation is in float32 and in this order, `(pixels / scale - mean) / std`, so that the same three
    nodes in a graph give the same bits.
    """
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32)
    for item in steps:
        ((name, value),) = item.items()
        if name == "scale":
            values /= np.float32(value)
        elif name in ("mean", "std"):
            if len(value) != values.shape[1]:
                raise Unfit(f"{name}: has {len(value)} numbers for {values.shape[1]} channels", "give one each")
            numbers = np.asarray(value, dtype=np.float32)[None, :, None, None]
            (np.subtract if name == "mean" else np.divide)(values, numbers, out=values)
    return values


def prepare(image: Image.Image, steps: Steps) -> np.ndarray:
    """float32 [channels, height, width]: one picture as the network takes it."""
    return np.asarray(numeric(geometric(image, steps)[None], steps)[0])
