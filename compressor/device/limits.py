"""What a process that runs a graph from elsewhere may see and take, and what ends it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import NamedTuple, Protocol

from .memory import address_limit, text_of


class Limits(NamedTuple):
    """seconds: for one answer. memory_mb: MB of memory in use, the runtime's own 60 included."""

    seconds: int = 120
    memory_mb: int = 4096


HELP_SECONDS = "seconds that the graph may take for one answer"
HELP_MEMORY = "MB of memory that the graph may take"
KEPT = (
    "PATH", "HOME", "USERPROFILE", "APPDATA", "LANG", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "WINDIR", "PATHEXT",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE",
    "PYTHONNOUSERSITE", "PYTHONDONTWRITEBYTECODE",
)  # fmt: skip
"""What such a process sees of the environment: what Python and its packages are found by, and no more."""


ADDRESSES_MB = 1024  # address space that is taken without being used: arenas, stacks


def bare_environment() -> dict[str, str]:
    """The environment without what a graph's process has no use for, keys and tokens above all."""
    kept = {
        name: value for name, value in os.environ.items() if name in KEPT or name.startswith(("LC_", "OMP_", "ORT_"))
    }
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


class Process(Protocol):
    """A process that was started, as `subprocess.Popen` shows one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def kill(self) -> None:
        """End it at once."""


class Watch:
    """Ends a process that takes more memory, or longer for an answer, than it may.

    over: which, in words. full: whether the process had hardly any address left of those that it may have.
    """

    def __init__(self, process: Process, limits: Limits) -> None:
        self._process, self._limits, self._seconds = process, limits, 0
        self._deadline = float("inf")
        self.over, self.full = "", False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def begin(self, more: float = 0) -> None:
        """An answer is asked for now. more: seconds that it may take beyond the usual."""
        self._seconds = self._limits.seconds + round(more)
        self._deadline = time.monotonic() + self._seconds

    def rest(self) -> None:
        """Nothing is asked for now."""
        self._deadline = float("inf")

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        pause = 0.01 if sys.platform == "linux" else 0.25
        while not self._end.wait(pause) and self._process.poll() is None:
            if resident_bytes(self._process.pid) > self._limits.memory_mb * 10**6:
                self.over = f"takes more than {self._limits.memory_mb:,} MB of memory"
            elif time.monotonic() > self._deadline:
                self.over = f"does not answer within {self._seconds:,} seconds"
            if self.over:
                limit = address_limit()
                self.full = limit is not None and address_bytes(self._process.pid) > 0.8 * limit
                self._process.kill()
                return


def resident_bytes(process: int) -> int:
    """Bytes of memory that a process has in use; 0 where that is not known."""
    try:
        if sys.platform == "linux":
            return int(text_of(f"/proc/{process}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        if os.name == "posix":
            told = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, check=False)
            return int(told.stdout) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def address_bytes(process: int) -> int:
    """Bytes of addresses that a process has taken; 0 where that is not known."""
    told = text_of(f"/proc/{process}/statm").split()
    return int(told[0]) * os.sysconf("SC_PAGE_SIZE") if told else 0
