"""What lies in a store, and making room in it without taking anything from a run under way."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from compressor.errors import CompressError, IntegrityError
from compressor.store import locks
from compressor.store import manifest as manifests
from compressor.store.disk import bytes_of, last_change, writing
from compressor.store.keys import folder_of, is_key
from compressor.store.placing import DAMAGED
from compressor.unfinished import unique

_LOCK = ".lock"
_TRASH = "trash-"


@dataclass(frozen=True)
class Row:
    """One artifact, or the work on one that was interrupted (`kind` is `work`), or one that is `damaged`.

    step: the pipeline and step that made it, where recorded. used: seconds since 1970.
    """

    key: str
    kind: str
    stage: str
    step: str
    bytes: int
    created: str
    used: float
    folder: Path


@dataclass(frozen=True)
class Freed:
    """What cleaning did.

    rows: removed. spared: due, but a process holds or needs them. leftovers: number of things that killed processes
    left. bytes: freed in all. bytes_left: of artifacts and interrupted work.
    """

    rows: tuple[Row, ...]
    spared: tuple[Row, ...]
    leftovers: int
    bytes: int
    bytes_left: int


def rows(root: Path) -> tuple[Row, ...]:
    """All artifacts and all interrupted work in the store at `root`, the last used first."""
    found = [row for folder in _artifacts(root) if (row := _artifact_row(root, folder)) is not None]
    found += [
        Row(folder.name, "work", "", "", bytes_of(folder), "", saved, folder)
        for folder in _children(root / "work")
        if is_key(folder.name) and (saved := last_change(folder)) is not None
    ]
    return tuple(sorted(found, key=lambda row: (-row.used, row.key)))


def clean(
    root: Path, wait_seconds: float, older_than: timedelta | None, max_size: int | None, now: float | None = None
) -> Freed:
    """Remove leftovers, then what was not used for `older_than`, then the least recently used beyond `max_size` bytes.

    Raises:
        ResourceError: another process is cleaning, or the store cannot be written.
    """
    if not root.is_dir():
        return Freed((), (), 0, 0, 0)
    held = locks.held(root / "lock", what=f"the store {root}", wait_seconds=wait_seconds, waiting=None)
    with writing(root), held:
        (root / "work").mkdir(exist_ok=True)
        leftovers, freed = _sweep(root)
        due, left = _due(rows(root), older_than, max_size, time.time() if now is None else now)
        needed = _needed(root)
        removed = [row for row in due if row.key not in needed and _remove(root, row)]
    gone = sum(row.bytes for row in removed)
    spared = tuple(row for row in due if row not in removed)
    return Freed(tuple(removed), spared, leftovers, freed + gone, left - gone)


def sweep(root: Path) -> None:
    """Remove folders that killed processes made and that no artifact came of, checkpoints of what is finished, and
    remains of what was taken out; damaged artifacts stay."""
    with suppress(OSError, CompressError):
        for path in _leftovers(root):
            if not path.name.endswith(DAMAGED):
                shutil.rmtree(path, ignore_errors=True)


def _due(
    found: tuple[Row, ...], older_than: timedelta | None, max_size: int | None, now: float
) -> tuple[list[Row], int]:
    """The rows to remove, least recently used first, and the bytes of all rows.

    >>> _due((), None, 0, 0.0)
    ([], 0)
    """
    total = left = sum(row.bytes for row in found)
    due = []
    for row in reversed(found):
        old = older_than is not None and now - row.used > older_than.total_seconds()
        if old or (max_size is not None and left > max_size):
            due.append(row)
            left -= row.bytes
    return due, total


def _needed(root: Path) -> set[str]:
    """Keys that processes at work hold or read."""
    needed: set[str] = set()
    for lock in (root / "work").glob(f"*{_LOCK}"):
        with locks.held_if_free(lock) as free:
            if not free:
                who = locks.holder(lock)
                needed |= {lock.name.removesuffix(_LOCK), *(who.needs if who else ())}
    return needed


def _remove(root: Path, row: Row) -> bool:
    """Take one row out of the store in one rename, then delete it; False where somebody holds its key."""
    lock = root / "work" / f"{row.key}{_LOCK}"
    with locks.held_if_free(lock) as free:
        if free:
            trash = Path(unique(f"{root / 'work' / _TRASH}"))
            os.rename(row.folder, trash)
            shutil.rmtree(trash, ignore_errors=True)
            lock.unlink(missing_ok=True)
    return free


def _sweep(root: Path) -> tuple[int, int]:
    """Remove what killed processes left, and memories of files that are gone; gives their number and bytes."""
    count = freed = 0
    for path in _leftovers(root):
        empty = is_key(path.name) and last_change(path) is None  # made before the first checkpoint, or by a mere check
        freed += bytes_of(path) if path.is_dir() else path.stat().st_size
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        count += not empty
    for lock in (root / "work").glob(f"*{_LOCK}"):
        with locks.held_if_free(lock) as free:
            if free:
                lock.with_name(f"{lock.name}.json").unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
    for memory in (root / "digests").glob("*.json"):
        if not _remembers_something(memory):
            memory.unlink(missing_ok=True)
    return count, freed


def _leftovers(root: Path) -> Iterator[Path]:
    for folder in _children(root / "artifacts"):
        yield from (one for one in folder.iterdir() if "." in one.name)
    for path in _children(root / "work"):
        if path.name.startswith(_TRASH):
            yield path
        elif path.is_dir() and (_is_staging(path) or _is_finished(root, path)):
            with locks.held_if_free(path.with_name(path.name[:64] + _LOCK)) as free:
                if free:
                    yield path


def _is_staging(path: Path) -> bool:
    return is_key(path.name[:64]) and ".staging-" in path.name


def _is_finished(root: Path, path: Path) -> bool:
    return is_key(path.name) and (last_change(path) is None or folder_of(root, path.name).exists())


def _remembers_something(memory: Path) -> bool:
    try:
        return os.path.exists(json.loads(memory.read_text("utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _artifacts(root: Path) -> Iterator[Path]:
    for parent in _children(root / "artifacts"):
        yield from (one for one in _children(parent) if is_key(one.name))


def _artifact_row(root: Path, folder: Path) -> Row | None:
    try:
        manifest = manifests.read(folder, folder.name, "")
    except IntegrityError:
        return Row(folder.name, "damaged", "", "", bytes_of(folder), "", last_change(folder) or 0.0, folder)
    if manifest is None:
        return None
    record = manifest.record
    step = "/".join(str(record[name]) for name in ("pipeline", "step") if name in record)
    try:
        used = (folder / manifests.NAME).stat().st_mtime
    except FileNotFoundError:
        return None  # another process has just taken it away
    created = str(record.get("created", ""))
    return Row(manifest.key, manifest.kind, manifest.stage, step, manifest.bytes, created, used, folder)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
