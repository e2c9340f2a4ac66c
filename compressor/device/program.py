"""How this program is started again, in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NAME = __name__.rpartition(".")[0]
_FOLDER = Path(__file__).resolve().parents[_NAME.count(".") + 1]

launcher = ""
"""The path of run.py where that started this program."""


def again() -> tuple[list[str], dict[str, str]]:
    """The words that start this program, and what they need of the environment."""
    return ([sys.executable, launcher], {}) if launcher else module(f"{_NAME}.start")


def module(name: str) -> tuple[list[str], dict[str, str]]:
    """`python -m name`, which finds this package where this process found it."""
    paths = [os.environ.get("PYTHONPATH"), None if "site-packages" in _FOLDER.parts else str(_FOLDER)]
    return [sys.executable, "-P", "-m", name], {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
