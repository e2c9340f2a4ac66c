"""One lock a key, across processes, that says who holds it."""

from __future__ import annotations

import json
import os
import platform
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import ResourceError
from compressor.unfinished import write_whole

if TYPE_CHECKING:
    from filelock import BaseFileLock

LARGEST_NOTE = 2**20
LONGEST = 500


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. `needs` are the keys of artifacts that its run reads, which cleaning spares."""

    pid: int
    host: str
    command: str
    since: str
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (`{self.command}`) since {self.since}"


@contextmanager
def held(
    path: Path, *, what: str, wait_seconds: float, waiting: Callable[[str], None] | None, needs: Iterable[str] = ()
) -> Iterator[None]:
    """Hold the lock at `path`, waiting for whoever has it; it ends with the block or with the process, killed or not.

    what: the thing locked, in words. waiting: told once, in a sentence, when somebody else has it.

    Raises:
        ResourceError: it is still held after `wait_seconds`.
        OSError: the lock's file cannot be made.
    """
    from filelock import Timeout

    refuse_odd(path)
    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            waiting(f"{what} is held by {_who(path)}; waiting up to {wait_seconds:g} s for it")
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout:
            raise ResourceError(
                what, f"is held by {_who(path)}, still after {wait_seconds:g} s",
                "wait for that process to end or stop it, or use another store with --store",
            ) from None  # fmt: skip
    try:
        with suppress(OSError):  # the note only serves those who wait
            write_whole(_note(path), json.dumps(asdict(_me(tuple(needs)))))
        yield
    finally:
        with suppress(OSError):
            _note(path).unlink(missing_ok=True)
        lock.release()


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock at `path` if nobody has it; gives whether it does."""
    from filelock import Timeout

    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def holder(path: Path) -> Holder | None:
    """Who says to hold the lock at `path`. A killed process leaves its note: only a held lock makes it true."""
    note = _note(path)
    try:
        status = os.lstat(note)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_NOTE:
            return None
        entry = json.loads(note.read_text("utf-8"))
        needs = tuple(key for key in entry["needs"] if isinstance(key, str))
        host, command, since = (str(entry[name])[:LONGEST] for name in ("host", "command", "since"))
        return Holder(int(entry["pid"]), host, command, since, needs)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def refuse_odd(path: Path) -> None:
    """See that a lock is a plain file or not there: one that is something else is neither followed nor opened.

    Raises:
        ResourceError: it is a link, a folder, a pipe or a device.
    """
    with suppress(FileNotFoundError):
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no plain file"
            raise ResourceError(str(path), f"is {what}, and a lock is a plain file", "remove it and start again")


def _who(path: Path) -> str:
    return str(holder(path) or "another process")


def _me(needs: tuple[str, ...]) -> Holder:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return Holder(os.getpid(), platform.node() or "this machine", command, since, needs)


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _lock(path: Path) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(path, thread_local=False)
