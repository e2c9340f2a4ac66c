"""How much memory this process has and had, as the kernel counts it; None where it does not tell."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now."""
    return _of("VmRSS")


def peak_bytes() -> int | None:
    """The largest resident memory since the process began, or since `reset_peak` last succeeded."""
    return _of("VmHWM")


def reset_peak() -> bool:
    """Gives unused heap back and lets the peak start again from what is resident; False where the kernel refuses."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no GNU C library: freed heap stays ours
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _of(key: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
