"""A folder of the user's own: one folder a class, in `train/` and `test/` or, to be split, at its top."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.data import class_order, split_folders
from compressor.data.class_order import natural
from compressor.data.split_folders import WHERE
from compressor.errors import InputError, unspelled
from compressor.printable import printable

if TYPE_CHECKING:
    from compressor.data.contents import FileDigests

FORMATS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
SYSTEM = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "__pycache__", "system volume information"}
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
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


def scan(
    folder: Path,
    *,
    test: float | str | None = None,
    classes: Sequence[str] | None = None,
    skip_broken: bool = False,
) -> Folder:
    """Look through a folder without opening a picture. Classes in plain order of their names, as torchvision has them.

    test: how the file says to split; a folder's name, or a share or count, which have no effect where there is a test
    folder. classes: the order that the file gives. skip_broken: leave out what is called a picture and is no file,
    such as a link to nothing. Pictures are in natural order.

    Raises:
        InputError: no folder, no or an empty class folder, a class in test that train lacks, a class or a picture
            whose name is not UTF-8, a link to nothing, folders that could be splits or classes, a wrong list of them.
    """
    _check_name(folder)
    if not folder.is_dir():
        what = f"{str(folder)!r} is no folder" if folder.exists() else f"there is no folder {str(folder)!r}"
        raise InputError(WHERE, what, "write the folder that holds train/ and test/, or the class folders")
    ignored: list[Path] = []
    splits = split_folders.find(folder, _folders(folder), test, classes)
    if splits is None:
        found = _classes(folder, classes)
        heap = tuple(_pictures(folder, found, ignored, skip_broken=skip_broken))
        return Folder(folder, tuple(found), heap, None, _notes(folder, ignored))
    found = _classes(splits.train, classes)
    tested, name = _folders(splits.test), splits.test.name
    strangers = [one for one in tested if one not in found]
    if strangers:
        what = f"{name}/ has the class {strangers[0]!r}, which {splits.train.name}/ lacks"
        todo = f"give it a folder in {splits.train.name}/, or take it out of {name}/"
        raise InputError(WHERE, f"{what} ({splits.train.name} has {_listed(found)})", todo)
    both = [one for one in found if one in tested]
    if len(both) < 2:
        raise _too_few(splits.test, both)
    train = tuple(_pictures(splits.train, found, ignored, skip_broken=skip_broken))
    pictures = tuple(_pictures(splits.test, both, ignored, found, skip_broken=skip_broken))
    notes = _notes(folder, ignored)
    if absent := [one for one in found if one not in tested]:
        notes += (f"{name}/ has no pictures of {_listed(absent)}: nothing is measured on them",)
    validation = [name for name in splits.unread if split_folders.role_of(name) == "validation"]
    if validation:
        notes += (f"{folder.name}/{validation[0]}/ is not read: validation is split off as task.validation says",)
    if others := [name for name in splits.unread if name not in validation]:
        verb = "is" if len(others) == 1 else "are"
        notes += (f"{_listed(others)} in {folder.name}/ {verb} not read",)
    return Folder(folder, tuple(found), train, pictures, notes)


def _folders(folder: Path) -> list[str]:
    """The names of the folders in it, without those that systems and programs leave."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _of_a_system(entry.name))


def _of_a_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in SYSTEM


def _classes(folder: Path, order: Sequence[str] | None) -> list[str]:
    names = _folders(folder)
    if len(names) < 2:
        raise _too_few(folder, names)
    for name in names:
        _check_name(folder / name)
    return list(class_order.ordered(names, order)) if order is not None else names


def _too_few(folder: Path, names: Sequence[str]) -> InputError:
    found = f"one class folder, {names[0]!r}" if names else "no class folders"
    return InputError(WHERE, f"{str(folder)!r} has {found}", "give each of two or more classes a folder")


def _check_name(path: Path) -> None:
    """Reports and bundles are UTF-8, and hold the names of classes and pictures."""
    wrong = unspelled(str(path))
    if isinstance(wrong, InputError):
        raise InputError(WHERE, f"the name '{wrong.where}' is not UTF-8", "rename it")
    if wrong is not None:
        raise wrong


def _pictures(
    folder: Path, classes: list[str], ignored: list[Path], all_classes: list[str] | None = None, *, skip_broken: bool
) -> Iterator[PictureFile]:
    for name in classes:
        found = []
        for place, folders, files in os.walk(folder / name):
            folders[:] = [below for below in folders if not _of_a_system(below)]
            for file in files:
                path = Path(place, file)
                if file.startswith(".") or file.casefold() in SYSTEM_FILES:
                    continue
                there = path.is_file()
                if path.suffix.lower() not in FORMATS or (skip_broken and not there):
                    ignored.append(path)
                    continue
                _check_name(path)
                if not there:
                    what = f"{str(path)!r} is {'a link to nothing' if path.is_symlink() else 'no file'}"
                    raise InputError(WHERE, what, "remove it, or write broken: skip")
                found.append(path)
        if not found:
            what = f"the class folder {str(folder / name)!r} holds no pictures ({', '.join(FORMATS)})"
            raise InputError(WHERE, what, "add pictures, or remove the folder")
        if not any(path.parent == folder / name for path in found):
            below = ", ".join(_folders(folder / name)[:3])
            what = f"the class folder {str(folder / name)!r} holds only folders ({below}), and no picture itself"
            raise InputError(WHERE, what, "name the folder that holds the class folders, or put its pictures into it")
        label = (all_classes or classes).index(name)
        named = [(path.relative_to(folder / name).as_posix(), path) for path in found]
        for below, path in sorted(named, key=lambda pair: natural(pair[0])):
            yield PictureFile(path, label, below)


def _notes(folder: Path, ignored: list[Path]) -> tuple[str, ...]:
    if not ignored:
        return ()
    first = printable(ignored[0].relative_to(folder).as_posix())
    return (f"{len(ignored)} files in {folder.name}/ are no pictures we read and were left out: {first}, …",)


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
