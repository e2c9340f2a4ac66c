"""Standard output and error that cannot fail: closed, full, cut or of a small alphabet, the work goes on."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
from typing import IO

from compressor.errors import ResourceError
from compressor.printable import printable

_PLAIN = {
    "✓": "v", "–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "≤": "<=", "≥": ">=", "→": "->", "“": '"', "”": '"',
    "‘": "'", "’": "'", "━": "=", "╸": "=", "╺": "-", "─": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
    "•": "*", "±": "+-", "\u202f": " ", "\xa0": " ",
}  # fmt: skip
"""What we print ourselves, in letters that every console has."""

_STANDARD = ("stdin", "stdout", "stderr")


class _Dropping(io.FileIO):
    """A stream's own file, which goes to nowhere from the moment it takes no more. `lost`: why."""

    lost: OSError | None = None

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]  # as its own writer gives it
        except OSError as error:
            self.lost = error
            _to_nowhere(self.fileno())
            return super().write(data)  # type: ignore[arg-type]


class _Shown(io.TextIOWrapper):
    """A text stream that shows foreign controls instead of sending them, in whatever letters its console has."""

    def __init__(self, file: _Dropping, encoding: str, *, line_buffering: bool) -> None:
        super().__init__(io.BufferedWriter(file), encoding, "compress", line_buffering=line_buffering)
        self.file = file
        self.rich_proxied_file = _AsItIs(self)
        """Where rich writes instead: its colours are its own, and what it shows was made printable before."""

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click asks in this way whether a stream takes bytes
            raise TypeError(f"write() takes text, not {type(text).__name__}")
        super().write(printable(text, lines=True))
        return len(text)


class _AsItIs:
    """The same stream without the look at what is written."""

    def __init__(self, stream: _Shown) -> None:
        self._stream = stream
        self.encoding, self.flush, self.isatty, self.fileno = (
            stream.encoding, stream.flush, stream.isatty, stream.fileno
        )  # fmt: skip

    def write(self, text: str) -> int:
        return io.TextIOWrapper.write(self._stream, text)


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Stand-ins for what an encoding lacks: our own signs, letters without their accents, else `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = []
    for char in error.object[error.start : error.end]:
        bare = unicodedata.normalize("NFKD", char).encode("ascii", "ignore").decode()
        found.append(_PLAIN.get(char) or bare or "?")
    return "".join(found), error.end


codecs.register_error("compress", _in_plain_letters)


def steady() -> None:
    """Put streams that cannot fail in the place of this process's own; what others put there stays.

    A descriptor that is closed leads to nowhere from now on, so that no file that is opened later is taken for it.
    """
    for number, name in enumerate(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            _to_nowhere(number)
            if name != "stdin" and getattr(sys, name) is None:
                stream = _shown(number, "utf-8", line_buffering=False)
                stream.file.lost = OSError(errno.EBADF, "it is closed")
                setattr(sys, name, stream)
    sys.stdout, sys.stderr = _steadied(sys.stdout, sys.__stdout__), _steadied(sys.stderr, sys.__stderr__)


def lost_output() -> ResourceError | None:
    """Why standard output did not take what it was given; None where it did, or where its reader had enough."""
    stream = sys.stdout
    if not isinstance(stream, _Shown):
        return None
    stream.flush()
    lost = stream.file.lost
    if lost is None or isinstance(lost, BrokenPipeError):
        return None
    why = (lost.strerror or str(lost)).lower()
    return ResourceError("standard output", f"takes nothing ({why})", "send it where there is room for it")


def _steadied(stream: IO[str], own: IO[str] | None) -> IO[str]:
    if stream is not own or not isinstance(stream, io.TextIOWrapper) or (os.name == "nt" and stream.isatty()):
        return stream
    return _shown(stream.fileno(), stream.encoding, line_buffering=stream.line_buffering or stream.isatty())


def _shown(number: int, encoding: str, *, line_buffering: bool) -> _Shown:
    return _Shown(_Dropping(number, "w", closefd=False), encoding, line_buffering=line_buffering)


def _to_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    os.set_inheritable(number, True)
