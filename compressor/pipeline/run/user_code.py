"""Tells failures of the user's own code, a factory's network, from bugs of ours."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

OURS = Path(__file__).resolve().parents[2]
NOT_THEIRS = (OURS, *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")))


def code_line(problem: BaseException) -> str:
    """` at nets.py, line 24`: the last line of the user's own code that it came through, where there is one."""
    for frame in reversed(traceback.extract_tb(problem.__traceback__)):
        file = Path(frame.filename).resolve()
        if file.is_file() and not any(file.is_relative_to(folder) for folder in NOT_THEIRS):
            return f" at {file.name}, line {frame.lineno}"
    return ""


def failed(problem: BaseException) -> str:
    """` at nets.py, line 24 (ValueError: not for training)`: where, where that is known, and its first line."""
    return f"{code_line(problem)} ({type(problem).__name__}: {(str(problem).strip().splitlines() or ['no words'])[0]})"
