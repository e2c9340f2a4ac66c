"""Variables of the environment that other programs answer to, and that are none of this one's business."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_STRANGE = ("MPLBACKEND", "PYTHONWARNINGS", "PYTHONOPTIMIZE", "TYPER_USE_RICH", "TYPER_RICH_MARKUP_MODE")
_SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH", "JUPYTER_COLUMNS", "JUPYTER_LINES")
_HIDDEN_BY_DEFAULT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def settle(variables: MutableMapping[str, str]) -> None:
    """Take away what would change the work or break the libraries that show it, for this process and its children."""
    if variables.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        for kind in _HIDDEN_BY_DEFAULT:
            warnings.simplefilter("ignore", kind)
    for name in _STRANGE:
        variables.pop(name, None)
    for name in _SIZES:
        size = variables.get(name, "")
        if not (size.isascii() and size.isdigit() and 0 < int(size) < 10_000):
            variables.pop(name, None)
    if variables.get("PYTHONIOENCODING"):
        variables["PYTHONIOENCODING"] = "utf-8"


def plainly() -> None:
    """Begin this process again where its Python drops docstrings (`-OO`), which are what `--help` and `stages` say."""
    if sys.flags.optimize > 1 and os.name == "posix":
        package = str(Path(__file__).resolve().parents[2])
        paths = filter(None, [os.environ.get("PYTHONPATH"), None if "site-packages" in package else package])
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
        os.execv(sys.executable, [sys.executable, "-P", "-m", "compressor", *sys.argv[1:]])


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        with suppress(OSError, AttributeError):
            sys.stderr.write("error: interrupted before anything was begun\n")
    else:
        sys.__excepthook__(kind, error, trace)


settle(os.environ)
sys.excepthook = _last_words
