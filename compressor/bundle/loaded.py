"""A bundle that answers in a program with this package, whose errors are this package's."""

from __future__ import annotations

import os
from collections.abc import Sequence

from compressor.bundle.bundle import translated
from compressor.device import loaded
from compressor.device.loaded import Answer, Picture


class LoadedBundle(loaded.LoadedBundle):
    """A bundle whose files are what was written, ready to answer. Needs no torch.

    Raises:
        InputError: there is no bundle. IntegrityError: a file is not what was written. ResourceError: the memory does
            not suffice.
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        with translated():
            super().__init__(folder, threads)

    def predict(self, pictures: Picture | Sequence[Picture]) -> list[Answer]:
        """An answer for each picture, given as a path or as a PIL image.

        Raises:
            InputError: a picture that cannot be read, or does not fit the network.
        """
        with translated():
            return super().predict(pictures)


def load_bundle(folder: str | os.PathLike[str], threads: int = 1) -> LoadedBundle:
    """A bundle whose files are what was written, ready to answer: `load_bundle(folder).predict(["picture.png"])`.

    threads: that answer one picture. `load` of an exported copy's `runner/` is the same where this package is not
    installed.

    Raises:
        compressor.errors.CompressError: with the exit code that `python run.py` would have had.
    """
    return LoadedBundle(folder, threads)
