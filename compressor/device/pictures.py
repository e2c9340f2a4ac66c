"""From the bytes of a picture file to an upright picture."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence

import PIL
from PIL import Image

from .refused import Unfit

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(encoded: bytes, formats: Sequence[str] = FORMATS) -> Image.Image:
    """The upright picture in a file's bytes (its EXIF orientation applied); Unfit where it cannot be read.

    formats: Pillow's readers that may open it; some of the others start programs, such as Ghostscript.
    """
    try:
        with _QUIET, Image.open(io.BytesIO(encoded), formats=tuple(formats)) as image:
            # A TIFF reader needs its file for its tags, a PNG reader all of its pixels.
            turned = _orientation(image) if image.format == "TIFF" else None
            image.getexif = Image.Exif  # type: ignore[method-assign]  # pixels do not depend on what is told of them
            image.load()
            del image.getexif
            turned = turned or _orientation(image)
            return image.transpose(turned) if turned is not None else image.copy()
    except Exception as error:  # Pillow's readers raise almost anything on a damaged file
        # Pillow names the object that it was given, which says nothing of the file.
        known = ", ".join("PPM, PGM, PBM" if name == "PPM" else name for name in formats)
        unknown = f"it is none of {known}" if encoded else "the file is empty"
        reason = unknown if isinstance(error, PIL.UnidentifiedImageError) else error
        raise Unfit(f"cannot be read as a picture ({reason})", "replace or remove it") from error


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """How the EXIF data say that the picture must be turned; None where they do not, or cannot be read."""
    try:
        return TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # Pillow parses what any camera or editor wrote
        return None


class _Quiet:
    """Pillow's warnings of odd metadata, kept off the console whatever the filters; may be entered by many threads."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *problem: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.__exit__(None, None, None)


_QUIET = _Quiet()
