"""Every picture of a folder decoded once before anything trains, so that no run dies on a broken one hours later."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from compressor.data.image_folder import PictureFile
from compressor.data.preprocess import channels_of, final_size, value_of, written
from compressor.errors import InputError
from compressor.runner import runner

WHERE = "task.data.folder"
MODES = {1: "grey", 3: "RGB"}
Seen = list[Any] | str
"""What was found in a picture: [mode, height, width], or the reason why it cannot be decoded."""


class Memory:
    """What was found in pictures, by the digest of their files, kept in one JSON file where a folder is given."""

    def __init__(self, folder: Path | None, known: Mapping[Path, str] | None) -> None:
        self._file = folder / "pictures.json" if folder is not None and known is not None else None
        self._known = known
        self._seen: dict[str, Seen] = {}
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
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
            descriptor, name = tempfile.mkstemp(dir=self._file.parent, prefix=".pictures-")
            with os.fdopen(descriptor, "w", encoding="utf-8") as into:
                json.dump(self._seen, into, separators=(",", ":"))
            os.replace(name, self._file)


def _is_seen(entry: Any) -> bool:
    if isinstance(entry, str):
        return True
    return isinstance(entry, list) and [type(part) for part in entry] == [str, int, int] and min(entry[1:]) > 0


def in_threads(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Results in order. Pillow decodes outside Python's lock, so threads are enough."""
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def inspect(path: Path) -> Seen:
    """Decode one picture. Modes that need no conversion by the user count as what they become (L or RGB)."""
    try:
        image = runner().decode(path.read_bytes())
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror}); replace or remove it"
    try:
        mode = runner().plain_mode(image, converts=False).mode
    except ValueError:
        mode = image.mode
    return [mode, image.height, image.width]


def check(
    files: Sequence[PictureFile], steps: Sequence[Mapping[str, Any]], memory: Memory, *, skip_broken: bool
) -> tuple[list[PictureFile], tuple[int, int], list[str]]:
    """The pictures that can be used, the (height, width) that the steps make of every one, and notes for the user.

    Raises:
        InputError: a broken picture that is not to be skipped, other channels than the steps take, a picture smaller
            than a crop, pictures that end in different sizes, a class with no whole picture left.
    """
    seen = memory.look(files)
    broken = [(file, found) for file, found in zip(files, seen, strict=True) if isinstance(found, str)]
    if broken and not skip_broken:
        file, reason = broken[0]
        cause, _, todo = reason.partition("; ")
        raise InputError(WHERE, f"{str(file.path)!r} {cause}{_more(broken)}", f"{todo}, or write broken: skip")
    kept = [(file, found) for file, found in zip(files, seen, strict=True) if not isinstance(found, str)]
    _check_classes(files, [file for file, _ in kept])
    _check_modes(kept, steps)
    size = _one_size(kept, steps)
    notes = [f"{len(broken)} pictures cannot be decoded and were left out: {_names(broken)}"] if broken else []
    return [file for file, _ in kept], size, notes


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
        name = {"L": "grey", "I;16": "grey with 16 bits a pixel"}.get(found[0], found[0])
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
