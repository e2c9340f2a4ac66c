"""A folder of the user's own: one folder a class, in `train/` and `test/` or, to be split, at its top."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import InputError

if TYPE_CHECKING:
    from compressor.tasks.base import FileDigests

FORMATS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
TEST_SHARE = 0.2
PREPROCESS = (
    {"resize": {"shortest": 256, "interpolation": "bilinear"}},
    {"center_crop": [224, 224]},
    {"scale": 255},
    {"mean": [0.485, 0.456, 0.406]},
    {"std": [0.229, 0.224, 0.225]},
)


@dataclass(frozen=True)
class PictureFile:
    """One picture: its file, its class, and its name below the class folder, with `/`."""

    path: Path
    label: int
    name: str


@dataclass(frozen=True)
class Folder:
    """What lies in a folder. test is None where the folder is one heap that is still to be split."""

    root: Path
    classes: tuple[str, ...]
    train: tuple[PictureFile, ...]
    test: tuple[PictureFile, ...] | None
    notes: tuple[str, ...] = ()


def natural(text: str) -> tuple[object, ...]:
    """A sorting key that puts `class2` before `class10`."""
    parts = re.split(r"(\d+)", text)
    compared = ((int(part), "") if odd % 2 else (-1, part.casefold()) for odd, part in enumerate(parts))
    return (*compared, (-1, text))


def scan(folder: Path, *, split_asked: bool = False, skip_broken: bool = False) -> Folder:
    """Look through a folder without opening a picture. Classes and pictures in natural order.

    split_asked: the file says how to split, which has no effect on a folder that has train/ and test/.
    skip_broken: leave out what is called a picture and is no file, such as a link to nothing.

    Raises:
        InputError: no folder, no or an empty class folder, a class in test that train lacks, a class or a picture
            whose name is not UTF-8, a link to nothing.
    """
    where = "task.data.folder"
    _check_name(folder)
    if not folder.is_dir():
        what = f"{str(folder)!r} is no folder" if folder.exists() else f"there is no folder {str(folder)!r}"
        raise InputError(where, what, "write the folder that holds train/ and test/, or the class folders")
    train, test = folder / "train", folder / "test"
    if train.is_dir() != test.is_dir():
        there, missing = ("train/", "test/") if train.is_dir() else ("test/", "train/")
        todo = f"add {missing}, or name the folder of class folders itself and say test: {TEST_SHARE}"
        raise InputError(where, f"{str(folder)!r} has {there} but no {missing}", todo)
    ignored: list[Path] = []
    if not train.is_dir():
        classes = _classes(folder)
        heap = tuple(_pictures(folder, classes, ignored, skip_broken=skip_broken))
        return Folder(folder, tuple(classes), heap, None, _notes(folder, ignored, ()))
    if split_asked:
        what = f"has no effect, since {str(folder)!r} has a test/ of its own"
        raise InputError("task.data.test", what, "leave it out")
    classes, tested = _classes(train), _classes(test)
    strangers = [name for name in tested if name not in classes]
    if strangers:
        what = f"test/ has the class {strangers[0]!r}, which train/ lacks (train has {_listed(classes)})"
        raise InputError(where, what, "give it a folder in train/, or take it out of test/")
    absent = [name for name in classes if name not in tested]
    train_pictures = tuple(_pictures(train, classes, ignored, skip_broken=skip_broken))
    both = [name for name in classes if name in tested]
    test_pictures = tuple(_pictures(test, both, ignored, classes, skip_broken=skip_broken))
    return Folder(folder, tuple(classes), train_pictures, test_pictures, _notes(folder, ignored, absent))


def _classes(folder: Path) -> list[str]:
    names = [entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")]
    if len(names) < 2:
        found = f"one class folder, {names[0]!r}" if names else "no class folders"
        todo = "give each of two or more classes a folder"
        raise InputError("task.data.folder", f"{str(folder)!r} has {found}", todo)
    for name in names:
        _check_name(folder / name)
    return sorted(names, key=natural)


def _check_name(path: Path) -> None:
    """Reports and bundles are UTF-8, and hold the names of classes and pictures."""
    if (shown := _printable(str(path))) != str(path):
        raise InputError("task.data.folder", f"the name '{shown}' is not UTF-8", "rename it")


def _printable(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _pictures(
    folder: Path, classes: list[str], ignored: list[Path], all_classes: list[str] | None = None, *, skip_broken: bool
) -> Iterator[PictureFile]:
    for name in classes:
        found = []
        for place, folders, files in os.walk(folder / name):
            folders[:] = [below for below in folders if not below.startswith(".")]
            for file in files:
                path = Path(place, file)
                if file.startswith("."):
                    continue
                there = path.is_file()
                if path.suffix.lower() not in FORMATS or (skip_broken and not there):
                    ignored.append(path)
                    continue
                _check_name(path)
                if not there:
                    what = f"{str(path)!r} is {'a link to nothing' if path.is_symlink() else 'no file'}"
                    raise InputError("task.data.folder", what, "remove it, or write broken: skip")
                found.append(path)
        if not found:
            what = f"the class folder {str(folder / name)!r} holds no pictures ({', '.join(FORMATS)})"
            raise InputError("task.data.folder", what, "add pictures, or remove the folder")
        label = (all_classes or classes).index(name)
        named = [(path.relative_to(folder / name).as_posix(), path) for path in found]
        for below, path in sorted(named, key=lambda pair: natural(pair[0])):
            yield PictureFile(path, label, below)


def _notes(folder: Path, ignored: list[Path], absent: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    notes = []
    if ignored:
        first = _printable(ignored[0].relative_to(folder).as_posix())
        notes.append(f"{len(ignored)} files in {folder.name}/ are no pictures we read and were left out: {first}, …")
    if absent:
        notes.append(f"test/ has no pictures of {_listed(absent)}: nothing is measured on them")
    unused = [name for name in ("val", "valid", "validation") if (folder / name).is_dir()]
    if unused and (folder / "train").is_dir():
        notes.append(f"{folder.name}/{unused[0]}/ is not read: validation is split off as task.validation says")
    return tuple(notes)


def _listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def digests_of(found: Folder, digests: FileDigests) -> dict[Path, str]:
    """SHA-256 of every picture's file, by its path."""
    names = {one.path.relative_to(found.root).as_posix(): one.path for one in (*found.train, *(found.test or ()))}
    return {names[name]: value for name, value in digests.files(found.root, names).items()}


def identity(pictures: tuple[PictureFile, ...], known: Mapping[Path, str]) -> list[list[object]]:
    """[label, name, SHA-256] of every picture: what a fingerprint holds. Names count, since they make the order."""
    return [[one.label, one.name, known[one.path]] for one in pictures]
