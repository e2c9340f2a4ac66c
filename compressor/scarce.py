"""Where addresses are limited (`ulimit -v`): what ends or hangs a process in a library is not begun there.

numpy's OpenBLAS takes 40 MB of addresses a thread when it is loaded, and where it gets less it ends the process in its
own words. onnxruntime waits for ever for the threads of a pool that it could not start.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

from compressor.errors import address_limit

NUMPY_BYTES = 96 * 2**20
THREAD_BYTES = 10 * 2**20  # the usual stack of 8 MiB, and what belongs to it


class _Room(MetaPathFinder):
    """Finds nothing; asks for room before numpy is looked for."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name == "numpy":
            _ask(NUMPY_BYTES, "numpy")


def prepare() -> None:
    """Called before anything that may load numpy; does nothing where addresses are not limited."""
    if address_limit():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        sys.meta_path.insert(0, _Room())


def room_for_threads(count: int) -> None:
    """Called before onnxruntime starts a pool of threads.

    Raises:
        MemoryError: the addresses do not suffice for them.
    """
    if address_limit():
        _ask((count + 1) * THREAD_BYTES, f"{count} threads")


def _ask(size: int, what: str) -> None:
    try:
        mmap.mmap(-1, size).close()
    except OSError as error:
        raise MemoryError(f"no {size // 10**6} MB for {what}: {error.strerror}") from None
