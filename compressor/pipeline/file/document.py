"""A file as plain data that knows its lines, and the mistakes found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compressor.errors import InputError
from compressor.strict import Place

_LONGEST = 60
LAST = 2**31
"""The line of what is in no line: mistakes of `--set` come after the file's."""


@dataclass(frozen=True)
class Mistake:
    """One mistake and where it belongs in the order of the file."""

    line: int
    error: InputError


@dataclass(frozen=True)
class Document:
    """A file as plain data. `lines` holds the line of each key and list item; `sets` what `--set` changed."""

    data: dict[str, Any]
    lines: Mapping[Place, int]
    path: Path
    text: str
    sets: Mapping[Place, str] = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()

    def mistake(self, place: Place, what: str, todo: str = "") -> Mistake:
        """A mistake at a place: `file:line: place: what; todo`, or with the `--set` that made it."""
        option = next((place[:n] for n in range(len(place), 0, -1) if place[:n] in self.sets), None)
        if option is None and place and place not in self.lines:
            option = next((changed for changed in self.sets if changed[: len(place)] == place), None)
        if option is not None:
            where = set_option(self.sets[option])
            return Mistake(LAST, InputError(where if option == place else f"{where}: {dotted(place)}", what, todo))
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), None)
        start = str(self.path) if line is None else f"{self.path}:{line}"
        return Mistake(line or 0, InputError(f"{start}: {dotted(place)}" if place else start, what, todo))


def set_option(text: str) -> str:
    """A `--set` option as an error names it; a long value is left out."""
    path, _, _ = text.partition("=")
    return f"--set {text}" if len(text) <= _LONGEST else f"--set {path}=…"


def dotted(place: Place) -> str:
    """A place as a person reads it: `steps.latency.threads[0]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def together(mistakes: Sequence[Mistake]) -> InputError:
    """All mistakes as one error, in the order of the file's lines; those of `--set` come last."""
    ordered = sorted(mistakes, key=lambda each: each.line)
    return InputError.together({mistake.error.sentence(): mistake.error for mistake in ordered}.values())
