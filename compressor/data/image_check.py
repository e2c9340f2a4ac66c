"""Every picture of a folder decoded once before anything trains, so that no run dies on a broken one hours later."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.data.image_folder import PictureFile
from compressor.data.preprocess import channels_of, final_size, value_of, written
from compressor.device.pictures import decode
from compressor.device.preprocess import DEPTHS, plain_mode
from compressor.device.refused import Unfit
from compressor.errors import InputError
from compressor.unfinished import write_whole

WHERE = "task.data.folder"
MODES = {1: "grey", 3: "RGB"}
Seen = list[Any] | dict[str, str]
"""What was found in a picture: [mode, height, width], for 16 bits a pixel the largest value too; or the problem why it
cannot be decoded, and what is to be done."""
DEEP = "I"
"""What the modes of pictures of more than 8 bits a pixel begin with."""


class Memory:
    """What was found in pictures, by the digest of their files, kept in one JSON file where a folder is given."""

    def __init__(self, folder: Path | None, known: Mapping[Path, str] | None) -> None:
        self._file = folder / "pictures.json" if folder is not None and known is not None else None
        self._known = known
        self._seen: dict[str, Seen] = {}
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError, RecursionError):
                remembered = json.loads(self._file.read_text(encoding="utf-8"))
                entries = remembered.items() if isinstance(remembered, dict) else ()
                self._seen = {key: seen for key, seen in entries if _is_seen(seen)}

    def look(self, files: Sequence[PictureFile]) -> list[Seen]:
        """What is in each file, decoding those not seen before."""
        if self._file is None or self._known is None:
            return in_threads(inspect, [file.path for file in files])
        digests = [self._known[file.path] for file in files]
        new = {key: file.path for key, file in zip(digests, files, strict=True) if key not in self._seen}
        if new:
            self._seen.update(zip(new, in_threads(inspect, list(new.values())), strict=True))
            self._keep()
        return [self._seen[key] for key in digests]

    def _keep(self) -> None:
        assert self._file is not None
        # A folder that cannot be written costs the next run a few seconds, and is no reason to stop this one.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, json.dumps(self._seen, separators=(",", ":")))


def _is_seen(entry: Any) -> bool:
    if isinstance(entry, dict):
        return entry.keys() == {"problem", "todo"} and all(isinstance(text, str) for text in entry.values())
    if not isinstance(entry, list) or not entry or not isinstance(entry[0], str):
        return False
    numbers = [int] * (3 if entry[0].startswith(DEEP) else 2)
    return [type(part) for part in entry[1:]] == numbers and min(entry[1:3]) > 0


def in_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Results in order. Pillow decodes outside Python's lock, so threads are enough."""
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def inspect(path: Path) -> Seen:
    """Decode one picture. Modes that need no conversion by the user count as what they become (L or RGB)."""
    try:
        image = decode(path.read_bytes())
        plain_mode(image, converts=True)
    except Unfit as error:
        return {"problem": error.problem, "todo": error.todo}
    except OSError as error:
        return {"problem": f"cannot be read ({error.strerror})", "todo": "replace or remove it"}
    except ValueError as error:
        return {"problem": f"cannot be converted ({error})", "todo": "replace or remove it"}
    try:
        mode = plain_mode(image, converts=False).mode
    except ValueError:
        mode = image.mode
    largest = [int(image.getextrema()[1])] if mode.startswith(DEEP) else []  # type: ignore[arg-type]  # one band
    return [mode, image.height, image.width, *largest]


@dataclass(frozen=True)
class Checked:
    """What a look at every picture found. files: those that can be used. size: (height, width) of each after the steps.

    notes: sentences for the user. deep: the largest value of each picture of 16 bits a pixel.
    """

    files: list[PictureFile]
    size: tuple[int, int]
    notes: list[str]
    deep: dict[PictureFile, int]


def check(
    files: Sequence[PictureFile], steps: Sequence[Mapping[str, Any]], memory: Memory, *, skip_broken: bool
) -> Checked:
    """Decode every picture, or remember that it was.

    Raises:
        InputError: a broken picture that is not to be skipped, other channels than the steps take, a picture smaller
            than a crop, pictures that end in different sizes, a class with no whole picture left.
    """
    seen = memory.look(files)
    broken = [(file, found) for file, found in zip(files, seen, strict=True) if isinstance(found, dict)]
    if broken and not skip_broken:
        file, why = broken[0]
        what, todo = f"{str(file.path)!r} {why['problem']}{_more(broken)}", f"{why['todo']}, or write broken: skip"
        raise InputError(WHERE, what, todo)
    kept = [(file, found) for file, found in zip(files, seen, strict=True) if not isinstance(found, dict)]
    _check_classes(files, [file for file, _ in kept])
    _check_modes(kept, steps)
    size = _one_size(kept, steps)
    notes = [f"{len(broken)} pictures cannot be decoded and were left out: {_names(broken)}"] if broken else []
    deep = {file: found[3] for file, found in kept if found[0].startswith(DEEP)}
    return Checked([file for file, _ in kept], size, notes, deep)


def bits_of(largest: int) -> int:
    """How many of 16 bits a camera or a scanner used, by the largest value in all of its pictures.

    >>> bits_of(4095), bits_of(4096)
    (12, 16)
    """
    return next((bits for bits in DEPTHS if largest < 2**bits), DEPTHS[-1])


def _check_classes(files: Sequence[PictureFile], kept: Sequence[PictureFile]) -> None:
    for label, lost in Counter(file.label for file in files).items():
        if not any(file.label == label for file in kept):
            first = next(file.path for file in files if file.label == label)
            what = f"none of the {lost} pictures of a class can be decoded ({str(first)!r} is one)"
            raise InputError(WHERE, what, "replace them, or remove the class folder")


def _check_modes(kept: Sequence[tuple[PictureFile, list[Any]]], steps: Sequence[Mapping[str, Any]]) -> None:
    floating = [(file, found) for file, found in kept if found[0] == "F"]
    if floating:
        what = f"{str(floating[0][0].path)!r} holds floating-point pixels{_more(floating)}"
        raise InputError(WHERE, what, "save it with 8 bits a channel")
    if value_of(steps, "channels") is not None:
        return
    channels = channels_of(steps)
    wanted = "RGB" if channels == 3 else "L"
    others = [(file, found) for file, found in kept if found[0] != wanted]
    if others:
        file, found = others[0]
        name = "grey with 16 bits a pixel" if found[0].startswith(DEEP) else {"L": "grey"}.get(found[0], found[0])
        fixed = [{"channels": "rgb" if channels == 3 else "gray"}, *steps]
        raise InputError(
            WHERE, f"{str(file.path)!r} is {name}{_more(others)}, and {MODES[channels]} is asked",
            f"convert it, or write task.preprocess: {written(fixed)}",
        )  # fmt: skip


def _one_size(kept: Sequence[tuple[PictureFile, list[Any]]], steps: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    sizes: dict[tuple[int, int], PictureFile] = {}
    for file, found in kept:
        try:
            sizes.setdefault(final_size(steps, (found[1], found[2])), file)
        except ValueError as error:
            what = f"{error} ({str(file.path)!r})"
            raise InputError("task.preprocess", what, "put a resize before it, or leave the picture out") from error
    if len(sizes) > 1:
        (one, a), (other, b), *_ = sizes.items()
        shown = f"{a.path.name} in {one[0]}x{one[1]}, {b.path.name} in {other[0]}x{other[1]}"
        what = f"pictures end in different sizes: {shown}"
        raise InputError("task.preprocess", what, "end the resizing with center_crop, pad, or resize: {exact: [h, w]}")
    return next(iter(sizes))


def _more(found: Sequence[Any]) -> str:
    return f" (and {len(found) - 1} more)" if len(found) > 1 else ""


def _names(found: Sequence[tuple[PictureFile, Seen]], most: int = 5) -> str:
    shown = ", ".join(str(file.path) for file, _ in found[:most])
    return shown if len(found) <= most else f"{shown} and {len(found) - most} more"
