"""Pictures as they may leave the house: upright, without a word of who took them, where and with what, and small."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compressor.device.pictures import decode
from compressor.device.preprocess import geometric, plain_mode

if TYPE_CHECKING:
    from PIL import Image

Steps = Sequence[Mapping[str, Any]]

LARGEST = 64_000
"""Bytes of one encoded picture at most."""
_QUALITIES, _POOR = (95, 90, 80, 70, 50), (30, 15, 5)
_AS_PNG = ("1", "L", "LA", "P", "RGB", "RGBA")


def plain(encoded: bytes, steps: Steps) -> bytes:
    """The most faithful of `forms` that has at most 64 kB.

    Raises ValueError where it cannot be read as a picture, or is none that `steps` take.
    """
    return next(forms(encoded, steps))


def forms(encoded: bytes, steps: Steps) -> Iterator[bytes]:
    """The picture in forms of at most 64 kB, from the most faithful to one of a single colour.

    First as PNG with the same pixels, then as JPEG, then smaller ones as long as `steps`, the preprocessing, make of
    them what the network takes, then poor JPEGs and ever coarser mosaics. All hold pixels alone: orientation is
    applied; EXIF data, comments, colour profiles and thumbnails are gone.
    """
    picture = decode(encoded)
    picture.info = {name: picture.info[name] for name in ("transparency",) if name in picture.info}
    if picture.mode.startswith("I"):
        yield from _small([_png(_sixteen_bits(picture))])
    if picture.mode not in _AS_PNG:
        picture = plain_mode(picture, converts=True, bits=_bits(steps))
    yield from _small([_png(picture)])
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    picture.info = {}
    wanted = geometric(picture, steps).shape
    while True:
        if len(_saved(picture, "JPEG", quality=_QUALITIES[-1])) <= LARGEST:
            yield from _small(_saved(picture, "JPEG", quality=quality) for quality in _QUALITIES)
        smaller = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))
        if smaller.size == picture.size or not _fits(smaller, steps, wanted):
            break
        picture = smaller
    yield from _small(_saved(picture, "JPEG", quality=quality) for quality in _POOR)
    block = 2
    while block < 2 * max(picture.size):
        yield from _small([_png(_mosaic(picture, block))])
        block *= 2


def encode(picture: Image.Image, largest: int) -> tuple[str, bytes]:
    """Media type and bytes of a picture of mode L or RGB: PNG where that has at most `largest` bytes, else JPEG.

    As small as that a JPEG is of any picture of 192 pixels a side, from 32,000 bytes on.
    """
    exact = _png(picture)
    if len(exact) <= largest:
        return "image/png", exact
    near = (_saved(picture, "JPEG", quality=quality) for quality in (*_QUALITIES, *_POOR))
    return "image/jpeg", next(one for one in near if len(one) <= largest)


def _small(encoded: Iterable[bytes]) -> Iterator[bytes]:
    return (one for one in encoded if len(one) <= LARGEST)


def _fits(picture: Image.Image, steps: Steps, wanted: tuple[int, ...]) -> bool:
    """Whether the preprocessing still makes the same size of it."""
    try:
        return bool(geometric(picture, steps).shape == wanted)
    except ValueError:  # less than a crop
        return False


def _bits(steps: Steps) -> int:
    """How many of a grey pixel's 16 bits the preprocessing uses."""
    return next((int(item["bits"]) for item in steps if "bits" in item), 16)


def _sixteen_bits(picture: Image.Image) -> Image.Image:
    """Grey pixels of more than 8 bits in the form that PNG has for them; no reader of ours uses what is outside."""
    import numpy as np
    from PIL import Image

    made = Image.fromarray(np.clip(np.asarray(picture).astype(np.int64), 0, 2**16 - 1).astype(np.uint16))
    made.info = picture.info
    return made


def _mosaic(picture: Image.Image, block: int) -> Image.Image:
    """Squares of one colour each, `block` pixels wide, in the same size."""
    from PIL import Image

    size = (-(-picture.width // block), -(-picture.height // block))
    coarse = picture.resize(size, Image.Resampling.BOX)
    whole = coarse.resize((size[0] * block, size[1] * block), Image.Resampling.NEAREST)
    return whole.crop((0, 0, *picture.size))


def _png(picture: Image.Image) -> bytes:
    """As PNG, packed as well as it can be where that may make it small enough."""
    quick = _saved(picture, "PNG", compress_level=1)
    return quick if len(quick) > 4 * LARGEST else _saved(picture, "PNG", optimize=True)


def _saved(picture: Image.Image, form: str, **settings: int | bool) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **settings)
    return stream.getvalue()
