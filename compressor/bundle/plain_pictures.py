"""Pictures as they may leave the house: upright, without a word of who took them, where and with what, and small."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from compressor.runner import runner

if TYPE_CHECKING:
    from PIL import Image

LARGEST = 64_000
"""Bytes of one encoded picture at most."""
_QUALITIES = (95, 90, 80, 70, 50)
_AS_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def plain(encoded: bytes) -> bytes:
    """The picture as PNG with the same pixels where that is small enough, else as JPEG, at last a smaller one.

    The bytes hold pixels alone: orientation is applied; EXIF data, comments, colour profiles and thumbnails are gone.
    Raises ValueError where it cannot be read as a picture.
    """
    picture = runner().decode(encoded)
    picture.info = {name: picture.info[name] for name in ("transparency",) if name in picture.info}
    if picture.mode not in _AS_PNG:
        picture = picture.convert("RGB")
    if len(exact := _saved(picture, "PNG", optimize=True)) <= LARGEST:
        return exact
    if picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    picture.info = {}
    while True:
        for quality in _QUALITIES:
            if len(near := _saved(picture, "JPEG", quality=quality)) <= LARGEST:
                return near
        picture = picture.resize((max(1, picture.width // 2), max(1, picture.height // 2)))


def _saved(picture: Image.Image, form: str, **settings: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **settings)
    return stream.getvalue()
