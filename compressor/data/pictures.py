"""What a data set gives the task: labelled pictures, one by one or all at once."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from PIL import Image

from compressor.data.image_folder import PictureFile
from compressor.device.pictures import decode
from compressor.errors import InputError


class Pictures(Protocol):
    """The labelled pictures of one split."""

    @property
    def targets(self) -> np.ndarray:
        """int64 [samples]."""

    def arrays(self) -> np.ndarray | None:
        """All source pictures, uint8 [samples, height, width, channels], where they have one size; else None."""

    def picture(self, index: int) -> Image.Image:
        """The source picture, upright, before any preprocessing."""

    def encoded(self, index: int) -> bytes:
        """The picture as a file's bytes."""

    def name(self, index: int) -> str:
        """What an error calls this picture."""

    def chosen(self, indices: np.ndarray) -> Pictures:
        """Those of the given places, in that order."""


@dataclass(frozen=True)
class PixelPictures:
    """Pictures of one size, all in memory. pixels: uint8 [samples, height, width, channels]."""

    pixels: np.ndarray
    targets: np.ndarray

    def arrays(self) -> np.ndarray | None:
        """The pixels themselves."""
        return self.pixels

    def picture(self, index: int) -> Image.Image:
        """Mode L for one channel, RGB for three."""
        pixels = self.pixels[index]
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def encoded(self, index: int) -> bytes:
        """As PNG, which loses nothing."""
        into = io.BytesIO()
        self.picture(index).save(into, "PNG")
        return into.getvalue()

    def name(self, index: int) -> str:
        """`sample 17`."""
        return f"sample {index}"

    def chosen(self, indices: np.ndarray) -> PixelPictures:
        """Those of the given places, in that order."""
        return PixelPictures(self.pixels[indices], self.targets[indices])


@dataclass(frozen=True)
class DataSet:
    """Training and test pictures with the names of their classes. notes: sentences the user should read."""

    train: Pictures
    test: Pictures
    classes: Sequence[str]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files of the user's own."""

    files: Sequence[PictureFile]
    targets: np.ndarray

    def arrays(self) -> np.ndarray | None:
        """None: files are decoded one by one."""
        return None

    def picture(self, index: int) -> Image.Image:
        """Decoded and upright.

        Raises:
            InputError: the file cannot be read (any more).
        """
        try:
            return decode(self.encoded(index))
        except ValueError as error:
            raise InputError("task.data.folder", f"{self.name(index)} {error}") from error

    def encoded(self, index: int) -> bytes:
        """The file's own bytes."""
        try:
            return self.files[index].path.read_bytes()
        except OSError as error:
            what = f"{self.name(index)} cannot be read ({error.strerror})"
            raise InputError("task.data.folder", what, "leave the folder alone while a run uses it") from error

    def name(self, index: int) -> str:
        """The file's path, quoted."""
        return repr(str(self.files[index].path))

    def chosen(self, indices: np.ndarray) -> FilePictures:
        """Those of the given places, in that order."""
        return FilePictures([self.files[index] for index in indices], self.targets[indices])


def from_files(files: Sequence[PictureFile]) -> FilePictures:
    """Pictures of what a scan found."""
    return FilePictures(files, np.array([file.label for file in files], dtype=np.int64))
