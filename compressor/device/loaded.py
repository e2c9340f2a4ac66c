"""A bundle that is whole and ready to answer, in a program of one's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from PIL import Image

from .manifest import check_files, read_manifest, understood
from .pictures import decode
from .predict import Model
from .refused import NOT_A_BUNDLE, Refused, Unfit
from .steps import check_preprocess

Picture = Union[str, "os.PathLike[str]", Image.Image]


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture. probability: 0 to 1. index: the place of `answer` in the bundle's answers."""

    answer: str
    probability: float
    index: int


class LoadedBundle:
    """A bundle in onnxruntime, ready to answer. facts: its bundle.json.

    Raises:
        Refused: there is no bundle (code 2), a file is not what was written (4), the memory does not suffice (7).
    """

    def __init__(self, folder: str | os.PathLike[str], threads: int = 1) -> None:
        self.folder = Path(folder)
        self.facts = read_manifest(self.folder)
        with understood(self.folder):
            check_files(self.folder, self.facts)
            check_preprocess(self.facts["preprocess"])
            self._model = Model(self.folder, self.facts, threads)

    def predict(self, pictures: Picture | Sequence[Picture]) -> list[Answer]:
        """An answer for each picture, given as a path or as a PIL image.

        Raises:
            Refused: a picture that cannot be read, or does not fit the network (code 2).
        """
        given = [pictures] if isinstance(pictures, (str, os.PathLike, Image.Image)) else list(pictures)
        return [self._answer(number, picture) for number, picture in enumerate(given)]

    def _answer(self, number: int, picture: Picture) -> Answer:
        told, todo = "", "give a picture that the network can take"
        try:
            if isinstance(picture, Image.Image):
                (found,) = self._model.answers([picture])
            else:
                (found,) = self._model.answers([decode(Path(picture).read_bytes())])
            return Answer(found["answer"], found["probability"], found["index"])
        except Unfit as error:
            told = error.problem
        except OSError as error:
            told = error.strerror or str(error)
        except TypeError:
            told = f"is a {type(picture).__name__}, neither a path nor a PIL image"
        where = str(picture) if isinstance(picture, (str, os.PathLike)) else f"picture {number}"
        raise Refused(NOT_A_BUNDLE, where, told, todo)
