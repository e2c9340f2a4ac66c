"""What runs on a device: pixels in, answers out, with numpy, onnxruntime and Pillow and nothing else.

    from runner import load
    load("bundle").predict(["photo.jpg"])

An exported bundle has this package beside it as `runner/`; it works under any name, with Python 3.9 or newer.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .loaded import LoadedBundle

__all__ = ["load"]

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime sends nothing from here unless its user wants that


def load(folder: str | os.PathLike[str], threads: int = 1) -> LoadedBundle:
    """A bundle whose files are what was written, ready to answer: `load(folder).predict(["picture.png"])`.

    threads: that answer one picture.

    Raises:
        Refused: there is no bundle (its `code` is 2), a file is not what was written (4), memory does not suffice (7).
    """
    from .loaded import LoadedBundle

    return LoadedBundle(folder, threads)
