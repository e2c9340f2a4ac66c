"""SHA-256 of files, remembered as long as a file is visibly the same one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from compressor.errors import InputError
from compressor.store.keys import digest
from compressor.unfinished import write_whole

_Mark = tuple[int, int, int, int]
_Known = dict[str, tuple[_Mark, str]]
_DIGEST = re.compile("[0-9a-f]{64}")


class Digests:
    """Digests of large inputs: hashed once, and again as soon as a file's size, times or inode differ.

    A file that changed less than `settle` seconds ago is hashed but not remembered: a clock too coarse to tell two
    writes apart would let the second one pass. A folder that cannot be written is fine: nothing is remembered then.
    """

    def __init__(self, folder: Path | None, *, settle: float = 2.0, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder, self._settle, self._clock = folder, int(settle * 1e9), clock

    def file(self, path: Path) -> str:
        """SHA-256 of one file's bytes, 64 hex digits.

        Raises:
            InputError: the file is missing or cannot be read.
        """
        return self._digests(path, [""])[""]

    def files(self, folder: Path, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of the files with these names (relative, with `/`) below a folder, by name.

        Raises:
            InputError: one of them is missing or cannot be read.
        """
        return self._digests(folder, sorted(names))

    def tree(self, folder: Path, suffixes: Iterable[str] | None = None) -> str:
        """One SHA-256 over the names and bytes of all files below a folder; where it lies and times do not count.

        suffixes: count only files that end so (`.png`; case does not matter).

        Raises:
            InputError: the folder is missing, or a file in it cannot be read.
        """
        ends = None if suffixes is None else tuple(one.lower() for one in suffixes)
        names = [name for name in _names(folder) if ends is None or name.lower().endswith(ends)]
        return digest(sorted(self.files(folder, names).items()))

    def _digests(self, base: Path, names: list[str]) -> dict[str, str]:
        base = Path(os.path.realpath(base))
        known = self._read(base)
        found: dict[str, str] = {}
        fresh: _Known = {}
        for name in names:
            path = f"{base}/{name}" if name else str(base)  # strings: a tree may have a hundred thousand files
            try:
                mark = _mark(os.stat(path))
                remembered = known.get(name)
                if remembered is not None and remembered[0] == mark:
                    found[name] = remembered[1]
                    continue
                found[name], settled = self._hash(path, mark)
            except OSError as error:
                raise _unreadable(path, error) from error
            if settled:
                fresh[name] = (mark, found[name])
        if fresh:
            known.update(fresh)
            self._write(base, {name: known[name] for name in names if name in known})
        return found

    def _hash(self, path: str, mark: _Mark) -> tuple[str, bool]:
        """The digest, and whether the file was so long the same that the mark vouches for it."""
        began = self._clock()
        with open(path, "rb") as stream:
            value = hashlib.file_digest(stream, "sha256").hexdigest()
            after = _mark(os.fstat(stream.fileno()))
        changed = max(mark[1], mark[3])
        return value, after == mark and changed + self._settle <= began

    def _slot(self, base: Path) -> Path | None:
        return None if self._folder is None else self._folder / f"{digest(str(base))}.json"

    def _read(self, base: Path) -> _Known:
        slot = self._slot(base)
        try:
            entry: Any = json.loads(slot.read_text("utf-8")) if slot is not None else None
            files = entry["files"].items() if entry else ()
            return {name: (tuple(mark), value) for name, (mark, value) in files if _DIGEST.fullmatch(value)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}  # what cannot be read is not known: the files are hashed again

    def _write(self, base: Path, known: _Known) -> None:
        slot = self._slot(base)
        if slot is None:
            return
        entry = {"path": str(base), "files": {name: [list(mark), value] for name, (mark, value) in known.items()}}
        try:
            slot.parent.mkdir(parents=True, exist_ok=True)
            write_whole(slot, json.dumps(entry))
        except OSError:
            return  # forgetting costs a second reading, nothing else


def _mark(status: os.stat_result) -> _Mark:
    """What tells two states of a file apart without reading it: size, change of content, inode, change of inode."""
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def _names(folder: Path) -> list[str]:
    """All files below a folder, relative, links followed, each folder entered once."""
    if not folder.is_dir():
        raise InputError(str(folder), "there is no such folder", "check the path")
    names: list[str] = []
    entered: set[str] = set()
    for parent, below, files in os.walk(folder, followlinks=True):
        entered.add(os.path.realpath(parent))
        below[:] = sorted(one for one in below if os.path.realpath(os.path.join(parent, one)) not in entered)
        prefix = "" if Path(parent) == folder else Path(parent).relative_to(folder).as_posix() + "/"
        names += [prefix + name for name in files]
    return names


def _unreadable(path: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(path, "there is no such file", "check the path")
    if isinstance(error, IsADirectoryError):
        return InputError(path, "this is a folder, and a file is wanted", "name a file in it")
    return InputError(path, f"cannot be read ({(error.strerror or str(error)).lower()})", "check its permissions")
