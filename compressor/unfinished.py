"""What is written, or used for a while, so that nothing of it stays: a kill's leftovers are gone after the next run."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where nobody can tell whose a folder is: there its folders stay
    fcntl = None  # type: ignore[assignment]

_HALF_WRITTEN = re.compile(r"\..+\.(\d{1,10})(?:-[0-9a-f]{12}|\.tmp)")
_PREFIX = "compress-"
_OURS = re.compile(r"compress-(?:smoke|work)-[a-z0-9_]{8}")


def unique(prefix: str) -> str:
    """A name beside `prefix` that nobody else uses: no other process, nor this one again."""
    return f"{prefix}{os.getpid()}-{secrets.token_hex(6)}"


def write_whole(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a text file so that readers see the old one or the new one, never a part.

    durable: also survive a power cut, at the price of a flush.
    """
    beside = path.with_name(unique(f".{path.name}."))
    try:
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing into a folder; what cannot go stays."""
    with suppress(OSError):
        for name in os.listdir(folder):
            left = _HALF_WRITTEN.fullmatch(name)
            if left and not _works(int(left[1])):
                with suppress(OSError):
                    os.unlink(folder / name)


def _works(process: int) -> bool:
    """Whether a process of this number is there, whoever it belongs to."""
    if os.name == "nt":
        return False  # there a file that is being written cannot be removed
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return process != os.getpid()


@contextmanager
def folder(kind: str = "work") -> Iterator[Path]:
    """A new empty folder among the temporary ones, gone after the block, or with `sweep_folders` where a kill ends it.

    kind: `work`, or `smoke` for the whole of a run that is only tried.
    """
    while True:
        made = tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-")
        mark = _held(made)
        if mark is None or os.path.isdir(made):
            break
        os.close(mark)  # it was taken for a leftover before it was held
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if mark is not None:
            os.close(mark)


def sweep_folders() -> None:
    """Remove the folders of `folder` that nobody holds any more; what cannot go stays."""
    with suppress(OSError):
        place = tempfile.gettempdir()
        for name in os.listdir(place):
            if _OURS.fullmatch(name):
                _remove_left(os.path.join(place, name))


def _remove_left(path: str) -> None:
    with suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            mark = _held(path, waiting=False)
            if mark is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(mark)


def _held(path: str, *, waiting: bool = True) -> int | None:
    """A descriptor with which a folder is held until it is closed; None where others hold it, or nobody can.

    A lock, and no process's number, because processes in other containers may share the folder.
    """
    if fcntl is None:
        return None
    with suppress(OSError):
        mark = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | (0 if waiting else fcntl.LOCK_NB))
        except OSError:
            os.close(mark)
            raise
        return mark
    return None
