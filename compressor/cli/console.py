"""Output to a pipe that nobody reads any more: it is dropped, and the work and its exit code stay what they are."""

from __future__ import annotations

import io
import os
import sys
from typing import IO


class _Dropping(io.FileIO):
    """A stream's own file, which goes to nowhere from the moment its reader is gone."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]  # as its own writer gives it
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return super().write(data)  # type: ignore[arg-type]


def outlive_readers() -> None:
    """Let `compress run … | head` run to its end: stdout and stderr drop what can no longer be read.

    Below all that prints (rich, typer, print), since each of these answers a closed pipe in a way of its own.
    """
    sys.stdout, sys.stderr = _outliving(sys.stdout, sys.__stdout__), _outliving(sys.stderr, sys.__stderr__)


def _outliving(stream: IO[str], own: IO[str] | None) -> IO[str]:
    """The same stream over a file that drops; unchanged where it is a terminal, or was put there by somebody else."""
    if stream is not own or not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    file = io.BufferedWriter(_Dropping(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=stream.line_buffering)
