"""Where addresses are limited (`ulimit -v`): what ends or hangs a process in a library is not begun there.

numpy's OpenBLAS takes 40 MB of addresses a thread when it is loaded and a buffer when it is first used, and where it
gets less it ends the process in its own words.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from compressor.deaths import death
from compressor.device.memory import ask, limit_in_words
from compressor.errors import ResourceError

NUMPY_BYTES = 136 * 2**20  # with the buffer of 32
_AGAIN = "COMPRESS_AGAIN"


class _Room(MetaPathFinder):
    """Asks for room before numpy is loaded, and has OpenBLAS take its buffer then; finds nothing else."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "numpy":
            return None
        ask(NUMPY_BYTES, "numpy")
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_load_numpy, spec.loader.exec_module)  # type: ignore[method-assign]
        return spec


def _load_numpy(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    load(module)
    module.linalg.inv(module.eye(3))


def prepare() -> None:
    """Called before anything that may load numpy; does nothing where addresses are not limited."""
    if limit_in_words():
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        sys.meta_path.insert(0, _Room())


def is_first() -> bool:
    """Whether addresses are limited, and this process was not begun by `again`."""
    return bool(limit_in_words()) and _AGAIN not in os.environ


def again(words: Sequence[str]) -> int:
    """The command once more in a process of its own, which imports nothing from the current folder, and its exit code.

    Raises:
        ResourceError: it died by a signal.
    """
    command = [sys.executable, "-P", "-m", "compressor", *words]
    code = subprocess.run(command, env={**os.environ, _AGAIN: "1"}, check=False).returncode
    if code < 0:
        died = f"the working process {death(code)}"
        raise ResourceError("", f"{died}{limit_in_words()}", "end other programs or raise the limit on memory")
    return code
