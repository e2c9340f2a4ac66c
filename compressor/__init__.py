"""From one pipeline file to a verified edge bundle and a report that decides.

    report = compressor.run("pipeline.yaml")
    model = compressor.load_bundle("runs/digits/bundle")

What a command does, the function of its name does: `plan`, `run`, `verify`, `evaluate`, `export`. Errors are
`compressor.errors.CompressError`, with the command's exit code. Importing this loads nothing heavy.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.api.evaluate import evaluate
    from compressor.api.export import export
    from compressor.api.plan import plan
    from compressor.api.run import run
    from compressor.api.verify import verify
    from compressor.bundle.loaded import load_bundle

__all__ = ["evaluate", "export", "load_bundle", "plan", "run", "verify"]

# onnxruntime's telemetry is on by default, has a thread beside what is timed, and leaves files behind.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'compressor' has no attribute {name!r}")
    place = "bundle.loaded" if name == "load_bundle" else f"api.{name}"
    return getattr(import_module(f"compressor.{place}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
