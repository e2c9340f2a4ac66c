"""`--set steps.student.temperature=2`: one value of a pipeline file changed from the command line."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from compressor.errors import InputError, meant
from compressor.pipeline.file.document import LAST, Document, Mistake, dotted, set_option
from compressor.pipeline.file.words import listing, quote
from compressor.pipeline.file.yaml_nodes import value_of
from compressor.strict import Place


def override(document: Document, sets: Sequence[str]) -> Document:
    """The document with each option applied in turn; an option that fits nowhere is a mistake that names it."""
    data = copy.deepcopy(document.data)
    done: dict[Place, str] = dict(document.sets)
    mistakes = list(document.mistakes)
    for option in sets:
        try:
            place, value = _split(option)
            place = _put(data, place, value, set_option(option))
        except InputError as error:
            mistakes.append(Mistake(LAST, error))
        else:
            done = {other: text for other, text in done.items() if other[: len(place)] != place}
            done[place] = option
    return replace(document, data=data, sets=done, mistakes=tuple(mistakes))


def _split(option: str) -> tuple[Place, Any]:
    path, equals, text = option.partition("=")
    parts = tuple(path.strip().split("."))
    if not equals or not all(parts):
        raise InputError(
            set_option(option), "is not of the form a.b=value", "write it like --set steps.student.temperature=2"
        )
    return parts, value_of(text, set_option(option))


def _put(data: dict[str, Any], place: Place, value: Any, where: str) -> Place:
    """Change the value at a place, and return the place with list positions as numbers."""
    at: Any = data
    been: list[str | int] = []
    for part in place[:-1]:
        key = _key(at, part, tuple(been), where)
        if isinstance(at, dict) and at.get(key) is None:
            at[key] = {}
        at = at[key]
        been.append(key)
    key = _key(at, place[-1], tuple(been), where)
    at[key] = value
    return (*been, key)


def _key(at: Any, part: str | int, been: Place, where: str) -> Any:
    if isinstance(at, list):
        digits = str(part)
        if not (digits.isdecimal() and len(digits) < 10 and int(digits) < len(at)):
            raise InputError(
                where, f"{dotted(been)} is a list of {len(at)}, without {quote(part)}", "name a position from 0"
            )
        return int(digits)
    if not isinstance(at, dict):
        raise InputError(
            where,
            f"{dotted(been)} is {quote(at)} in the file and has no fields",
            f"set {dotted(been)} as a whole, or write it as a mapping",
        )
    if been == ("steps",) and part not in at:
        raise InputError(where, f"the file has no step {quote(part)}", meant(part, at, f"its steps are {listing(at)}"))
    return part
