r"""Text from outside, made fit to be shown: nothing in it moves a cursor, hides a word or turns a line around."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)
"""What may be neither printed nor written as it is, a first look; the rest is decided by `str.isprintable`."""

_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: object, *, lines: bool = False) -> str:
    r"""The text with controls, what has no width, what turns the direction and lone surrogates as visible escapes.

    ESC becomes `\x1b`, RIGHT-TO-LEFT OVERRIDE `\u202e`; letters, signs and spaces of all scripts stay. What is
    printable already comes back unchanged, so that making it printable twice does no harm.

    lines: keep line feeds and tabs, for text that has several lines of its own; else they are escaped too, so that a
    name never begins a line.
    """
    text = str(text)
    if text.isprintable() and _UNSEEN.search(text) is None:
        return text
    kept = "\n\t" if lines else ""
    return "".join(char if char in kept or _is_seen(char) else _escaped(char) for char in text)


def in_json(value: object, *, indent: int | None = None, letters: bool = False) -> str:
    """JSON in which all but plain letters is an escape of JSON's own: as data it stays what it was.

    letters: those of all scripts stay too, and only what may not be shown is an escape.
    """
    text = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=not letters).replace("\x7f", "\\u007f")
    return "\n".join(line if printable(line) == line else _escaped_in_json(line) for line in text.split("\n"))


def _escaped_in_json(line: str) -> str:
    return "".join(char if _is_seen(char) else json.dumps(char)[1:-1] for char in line)


def each_printable(value: Any) -> Any:
    """A value of JSON with all its texts, names included, made printable; those of several lines keep them."""
    if isinstance(value, str):
        return printable(value, lines=True)
    if isinstance(value, Mapping):
        return {printable(name): each_printable(part) for name, part in value.items()}
    return [each_printable(part) for part in value] if isinstance(value, list | tuple) else value


def in_markdown(text: object) -> str:
    """Text on one line that Markdown and HTML show as it is, in a cell as at the beginning of a line."""
    escaped = re.sub(r"([\\`*_{}\[\]|#~$])", r"\\\1", " ".join(printable(text).split()))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"^(?=[-+=][-+=\s]|[-+=]$|\d+[.)](?:\s|$))(\d*)", r"\1\\", escaped)


def _is_seen(char: str) -> bool:
    # A space of another width is not "printable" to Python, and does no harm.
    return _UNSEEN.match(char) is None and (char.isprintable() or char.isspace())


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
