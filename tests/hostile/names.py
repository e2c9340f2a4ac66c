"""A hostile name, and every place of a file's schema or of a value of JSON in which one can stand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from compressor.printable import printable

HOSTILE = "a\x1b]0;x\x07\x1b[2K\r\u202eb\u2066\x9b\u200b[/][red]`|<script>alert(1)</script>\n# verdict: pass"

Place = tuple[str | int, ...]


def acts(text: str) -> bool:
    """Whether a text would do more than be read: a control in it, or a line that a foreign name begins."""
    forged = any(line.lstrip().startswith("# verdict") for line in text.splitlines())
    return forged or printable(text, lines=True) != text


def fields(schema: dict[str, Any], definitions: dict[str, Any], depth: int = 0) -> Iterator[Place]:
    """The places of all fields of a JSON Schema; a name that is free is the hostile one, an item the first."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
    for form in schema.get("anyOf", ()) if depth < 8 else ():
        yield from fields(form, definitions, depth + 1)
    parts: dict[str | int, Any] = dict(schema.get("properties", {}))
    if isinstance(schema.get("additionalProperties"), dict):
        parts[HOSTILE] = schema["additionalProperties"]
    if isinstance(schema.get("items"), dict):
        parts[0] = schema["items"]
    for name, part in parts.items():
        yield (name,)
        for below in fields(part, definitions, depth + 1):
            yield (name, *below)


def with_value(document: Any, place: Place, value: Any) -> Any:
    """A document with a value at a place; what is missing on the way is made."""
    if not place:
        return value
    head, *rest = place
    if head == 0:
        return [with_value(document[0] if isinstance(document, list) and document else None, tuple(rest), value)]
    known = document if isinstance(document, dict) else {}
    return {**known, head: with_value(known.get(head), tuple(rest), value)}


def renamed(document: Any) -> Iterator[tuple[str, Any]]:
    """A document of JSON with each of its texts, and each name in it, once replaced by the hostile one.

    Of a list only the first item is changed.
    """
    for place, is_name in _texts(document, ()):
        made = copy.deepcopy(document)
        holder = made
        for part in place[:-1]:
            holder = holder[part]
        if is_name:
            pairs = [(HOSTILE if name == place[-1] else name, value) for name, value in holder.items()]
            holder.clear()
            holder.update(pairs)
        else:
            holder[place[-1]] = HOSTILE
        yield f"{'name' if is_name else 'text'} at {place}", made


def _texts(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], bool]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield (*place, name), True
            yield from _texts(part, (*place, name))
    elif isinstance(value, list):
        yield from _texts(value[0], (*place, 0)) if value else ()
    elif isinstance(value, str) or value is None:
        yield place, False
