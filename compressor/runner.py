"""Finds `export/python/run.py`, the device's runner, and loads it: its preprocessing is the only one there is."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "_export" / "python" / "run.py", _HERE.parent / "export" / "python" / "run.py")


def runner_path() -> Path:
    """The runner's file: inside the package in a wheel, beside it in a checkout."""
    return next(place for place in _PLACES if place.is_file())


@cache
def runner() -> ModuleType:
    """The runner as a module. Loading it costs numpy and Pillow, never onnxruntime."""
    spec = importlib.util.spec_from_file_location("compressor_device_runner", runner_path())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def apart(module: str, place: Path, code: int, limits: tuple[int, int] | None = None) -> Any:
    """The runner's `Child` for a file from elsewhere, in which `python -m module` answers.

    place: the file. code: the exit code of what it does wrong. limits: seconds for an answer, and MB of memory.
    """
    paths = [os.environ.get("PYTHONPATH"), None if "site-packages" in _HERE.parts else str(_HERE.parent)]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    chosen = runner().Limits(*limits) if limits else runner().Limits()
    return runner().Child([sys.executable, "-P", "-m", module], chosen, str(place), code, environment)
