"""Where addresses are limited (`ulimit -v`): what ends or hangs a process in a library is not begun there.

numpy's OpenBLAS takes 40 MB of addresses a thread when it is loaded and a buffer when it is first used, and where it
gets less it ends the process in its own words. onnxruntime waits for ever for the threads of a pool that it could not
start.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from compressor.deaths import death
from compressor.errors import ResourceError, address_limit

NUMPY_BYTES = 136 * 2**20  # with the buffer of 32
_AGAIN = "COMPRESS_AGAIN"
THREAD_BYTES = 10 * 2**20  # the usual stack of 8 MiB, and what belongs to it


class _Room(MetaPathFinder):
    """Asks for room before numpy is loaded, and has OpenBLAS take its buffer then; finds nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "numpy":
            return None
        _ask(NUMPY_BYTES, "numpy")
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_load_numpy, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _load_numpy(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    load(module)
    module.linalg.inv(module.eye(3))


def prepare() -> None:
    """Called before anything that may load numpy; does nothing where addresses are not limited."""
    if address_limit():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        sys.meta_path.insert(0, _Room())


def is_first() -> bool:
    """Whether addresses are limited, and this process was not begun by `again`."""
    return bool(address_limit()) and _AGAIN not in os.environ


def again(words: Sequence[str]) -> int:
    """The command once more in a process of its own, which imports nothing from the current folder, and its exit code.

    Raises:
        ResourceError: it died by a signal.
    """
    command = [sys.executable, "-P", "-m", "compressor", *words]
    code = subprocess.run(command, env={**os.environ, _AGAIN: "1"}, check=False).returncode
    if code < 0:
        died = f"the working process {death(code)}"
        raise ResourceError("", f"{died}{address_limit()}", "end other programs or raise the limit on memory")
    return code


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
