"""Values and JSON Schemas in words: one wording for error messages, tables and the reference page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

_PATTERNS = {
    r"^[a-z0-9-]+$": "text of a-z, 0-9 and -",
    r"^[\w.]+:[\w.]+$": "`package.module:function`",
}
_SCALARS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "null": "null"}
_LONGEST = 60


def quote(value: Any) -> str:
    """A value as a person wrote it, on one line and not longer than a line."""
    if isinstance(value, Mapping) and not value:
        return "an empty mapping"
    if isinstance(value, list) and not value:
        return "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def is_number(text: str) -> bool:
    """Whether text is a number as Python writes one."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def listing(names: Iterable[Any]) -> str:
    """Names in quotes, with commas between them."""
    return ", ".join(quote(name) for name in names)


def resolve(node: Schema, root: Schema) -> Schema:
    """The schema behind a reference; other schemas as they are."""
    while "$ref" in node:
        node = root["$defs"][str(node["$ref"]).rsplit("/", 1)[-1]]
    return node


def choices(node: Schema, root: Schema) -> list[Schema]:
    """The alternatives of a schema without null, references followed; a schema without alternatives is its only one."""
    node = resolve(node, root)
    parts = node.get("anyOf") or node.get("oneOf")
    if parts is None:
        return [node]
    found = [choice for part in parts for choice in choices(part, root)]
    return [choice for choice in found if choice.get("type") != "null"] or [node]


def accepted(node: Schema, root: Schema, *, ranges: bool = True) -> str:
    """What a schema accepts: `a whole number from 1 to 100`; without ranges, `a whole number`."""
    parts: list[str] = []
    for choice in choices(node, root):
        words = _one(choice, root, ranges)
        if words not in parts:
            parts.append(words)
    return ", or ".join(parts)


def _one(node: Schema, root: Schema, ranges: bool) -> str:
    if "const" in node:
        return quote(node["const"])
    if "enum" in node:
        *most, last = (quote(value) for value in node["enum"])
        return f"{', '.join(most)} or {last}" if most else last
    kind = node.get("type")
    if kind in ("integer", "number"):
        return (_SCALARS[kind] + _range(node)) if ranges else _SCALARS[kind]
    if kind == "string":
        pattern = node.get("pattern")
        if pattern is not None:
            return _PATTERNS.get(pattern, f"text that matches `{pattern}`")
        return "a path" if node.get("format") == "path" else "text"
    if kind == "array":
        return _array(node, root, ranges)
    if kind == "object":
        return _object(node, root, ranges)
    return _SCALARS.get(str(kind), "any value")


def _range(node: Schema) -> str:
    at_least, at_most = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if at_least is not None and at_most is not None:
        return f" from {_number(at_least)} to {_number(at_most)}"
    low = (
        f"above {_number(above)}"
        if above is not None
        else f"at least {_number(at_least)}"
        if at_least is not None
        else ""
    )
    high = (
        f"below {_number(below)}" if below is not None else f"at most {_number(at_most)}" if at_most is not None else ""
    )
    bounds = " and ".join(bound for bound in (low, high) if bound)
    return f" {bounds}" if bounds else ""


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _array(node: Schema, root: Schema, ranges: bool) -> str:
    if not ranges:
        return "a list"
    items = node.get("items")
    if "prefixItems" in node:
        parts = list(dict.fromkeys(accepted(item, root) for item in node["prefixItems"]))
        return f"a list{_length(node)}, each {parts[0]}" if len(parts) == 1 else f"[{', '.join(parts)}]"
    return f"a list{_length(node)}, each {accepted(items, root)}" if items else f"a list{_length(node)}"


def _length(node: Schema) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if most is not None:
        return f" of {most}" if least == most else f" of {least} to {most}"
    return f" of at least {least}" if least else ""


def _object(node: Schema, root: Schema, ranges: bool) -> str:
    names = list(node.get("properties", ()))
    if names:
        return "a mapping with " + ", ".join(f"`{name}`" for name in names)
    values = node.get("additionalProperties")
    if isinstance(values, Mapping) and values:
        return f"a mapping, each value {accepted(values, root, ranges=ranges)}"
    return "a mapping"
