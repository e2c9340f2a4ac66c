"""What is printed: nothing in it acts on a terminal, and streams that take nothing are told of once."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any, TextIO

from .manifest import RUNNER
from .refused import RESOURCES

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)


def printable(text: str) -> str:
    r"""Text on one line, with all that would act on a terminal or cannot be seen as an escape, `\x1b`, `\u202e`."""
    if text.isprintable() and _UNSEEN.search(text) is None:
        return text

    def seen(char: str) -> bool:
        return _UNSEEN.match(char) is None and (char.isprintable() or char.isspace())

    return "".join(char if seen(char) else ascii(char)[1:-1] for char in text)


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print a line, printable."""
    write(printable(text) + "\n", stream)


def tell_json(value: Any, indent: int | None = None) -> None:
    """Print a value as JSON; what is not ASCII and printable is an escape of JSON's own."""
    write(json.dumps(value, indent=indent).replace("\x7f", "\\u007f") + "\n")


lost: list[OSError] = []
"""Why standard output took no more; nothing where it did, or where its reader had enough."""


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text; dropped, as all that follows, where a stream takes no more (`run.py --check | head`, a full disk)."""
    stream = stream or sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            lost.append(error)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def ended(code: int) -> int:
    """The exit code of what is there for its output: 7 where that could not be written."""
    if code or not lost:
        return code
    reason = (lost[0].strerror or str(lost[0])).lower()
    tell(f"{RUNNER}: standard output: takes nothing ({reason}); send it where there is room for it", sys.stderr)
    return RESOURCES
