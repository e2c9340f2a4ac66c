"""How a file of a report is written."""

from __future__ import annotations

import errno
from pathlib import Path

from compressor import unfinished
from compressor.errors import ResourceError


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader never meets half of it.

    Raises:
        ResourceError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_whole(path, text, durable=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "the disk is full" if full else f"cannot be written ({error.strerror})"
        todo = "free some space" if full else "see that you may write there, or name another folder"
        raise ResourceError(str(path), what, todo) from None
