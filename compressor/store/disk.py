"""Bytes that reach the disk, and sentences for disks that refuse."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compressor.errors import CompressError, InputError, ResourceError, shortage, unspelled

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_SUCH_CALL = frozenset({errno.EINVAL, errno.ENOTSUP})
_REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_GONE = frozenset({errno.ENOENT, errno.ESTALE, errno.ENXIO, errno.ENODEV})
_REPLACED = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY})


def foreseen(problem: BaseException, folder: Path | None = None) -> CompressError | None:
    """The sentence for an error of the surroundings that may come at any time; None where it is of another kind.

    folder: what the sentence is about where the error names no file.
    """
    short = shortage(problem)
    if short is not None or isinstance(problem, CompressError):
        return short or problem  # type: ignore[return-value]
    if isinstance(problem, OSError):
        if "usable temporary directory" in str(problem):
            what = "none of the usual places for temporary files can be written"
            return ResourceError("TMPDIR", what, "set it to a folder that can be written")
        named = problem.filename if isinstance(problem.filename, str) else None
        return refusal(problem, folder or (Path(named) if named else _fuller()), named_by="")
    if isinstance(problem, UnicodeEncodeError):
        return unspelled(problem.object)
    if isinstance(problem, RuntimeError) and "home directory" in str(problem):
        return homeless()
    return None


def homeless() -> ResourceError:
    """The sentence for a user without a home folder."""
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    what = "has no home folder (HOME is not set, and the system knows none)"
    return ResourceError(user, what, "name a folder for artifacts with --store or COMPRESS_STORE, or set HOME")


STORE = "--store or COMPRESS_STORE"


def refusal(error: OSError, folder: Path, named_by: str = STORE) -> CompressError | None:
    """The sentence for a file system that refuses, or has lost what was there; None for an error of another kind.

    named_by: the option that names another folder; empty where there is none.
    """
    if error.errno in _FULL:
        quota = " or its quota used up" if error.errno == errno.EDQUOT else ""
        return ResourceError(
            str(folder),
            f"the disk is full{quota} ({_free(folder):,} bytes are free)",
            "free some space (`compress store clean --older-than 30d` helps) and start the same command again",
        )
    if error.errno == errno.EFBIG:
        what = "a file would be larger than this process may write, or than the file system holds"
        return ResourceError(str(error.filename or folder), what,
                             "raise the limit (`ulimit -f`), and start the same command again")  # fmt: skip
    if error.errno in _REFUSED:
        why = os.strerror(error.errno or 0).lower()
        if not named_by:
            return ResourceError(str(folder), f"the system refuses ({why})", "see that you may read and write it")
        todo = f"name a folder that can be written with {named_by}"
        return ResourceError(str(folder), f"cannot be written ({why})", todo)
    if error.errno == errno.EIO:
        return ResourceError(str(folder), "the disk reports an input/output error", "check it, or use another disk")
    place = str(error.filename or folder)
    if error.errno == errno.ENAMETOOLONG:
        return InputError(place, "this name is longer than the file system allows", "give a shorter one")
    if error.errno in _GONE:
        what = "is missing; it was removed, or never was there" if error.filename else _missing(folder)
        return ResourceError(place, what, "see that nothing removes it, and start the same command again")
    if error.errno in _REPLACED:
        what = f"something else stands where it was expected ({os.strerror(error.errno or 0).lower()})"
        return ResourceError(place, what, "move it away, or name another folder, and start the same command again")
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        what = f"the system has no more to give ({os.strerror(error.errno or 0).lower()})"
        return ResourceError(place, what, "raise the limit, or end other processes, and start the same command again")
    return None


def _fuller() -> Path:
    """The current folder or that of temporary files, whichever has less room: an error without a name is of one."""
    places = [Path()]
    with suppress(OSError):
        places.append(Path(tempfile.gettempdir()))
    free = {}
    for place in places:
        with suppress(OSError):
            free[place] = _free(place)
    return min(free, key=free.__getitem__, default=Path())


def _missing(folder: Path) -> str:
    """What is not there where the system does not say."""
    try:
        os.getcwd()
    except OSError:
        return "the current folder was removed"
    return "is missing" if not folder.exists() else "something in it is missing"


def is_read_only(error: OSError) -> bool:
    """Whether a write failed because nothing may be written there."""
    return error.errno in _REFUSED


@contextmanager
def writing(folder: Path, named_by: str = STORE) -> Iterator[None]:
    """Turn what the disk refuses inside the block into an error with a sentence about `folder`.

    named_by: the option that names another folder.
    """
    try:
        yield
    except OSError as error:
        said = refusal(error, folder, named_by)
        if said is None:
            raise
        raise said from error


def _free(folder: Path) -> int:
    """Bytes free on the file system of a folder, which need not exist yet."""
    place = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
    return shutil.disk_usage(place).free


def flush(path: Path) -> None:
    """Have a file's bytes, or a folder's entries, on the disk before going on."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders for this; its renames are journalled
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
    finally:
        os.close(handle)


def last_change(folder: Path) -> float | None:
    """When a file below a folder was last written, in seconds since 1970; None where there is none."""
    latest = None
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                changed = os.lstat(os.path.join(parent, name)).st_mtime
            except FileNotFoundError:
                continue  # another process at work has replaced it
            latest = changed if latest is None else max(latest, changed)
    return latest


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total
