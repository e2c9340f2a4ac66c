"""YAML nodes as plain data: the scalars of YAML 1.2, no objects, no key twice, and the line of every key."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from compressor.errors import InputError, unspelled
from compressor.pipeline.file.document import Mistake, dotted
from compressor.pipeline.file.words import quote
from compressor.strict import Place

_MOST_VALUES = 50_000
_DEEPEST = 50


class Loader(yaml.SafeLoader):
    """Composes nodes with the scalars of YAML 1.2's core schema."""

    NULL: ClassVar[str] = "tag:yaml.org,2002:null"
    BOOL: ClassVar[str] = "tag:yaml.org,2002:bool"
    INT: ClassVar[str] = "tag:yaml.org,2002:int"
    FLOAT: ClassVar[str] = "tag:yaml.org,2002:float"
    TEXT: ClassVar[str] = "tag:yaml.org,2002:str"
    MERGE: ClassVar[str] = "tag:yaml.org,2002:merge"


Loader.yaml_implicit_resolvers = {}
_DIGITS = list("-+.0123456789")
for _tag, _pattern, _first in (
    (Loader.NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (Loader.BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (Loader.INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (Loader.FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", _DIGITS),
    (Loader.FLOAT, r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _DIGITS),
    (Loader.MERGE, r"<<", ["<"]),
):
    Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), _first)


class Builder:
    """Turns composed nodes into plain data, and keeps lines and mistakes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Place, int] = {}
        self.mistakes: list[Mistake] = []
        self._count = 0

    def value(self, node: yaml.Node, place: Place) -> Any:
        """A node as plain data; InputError where aliases make it endless."""
        self._count += 1
        if self._count > _MOST_VALUES or len(place) > _DEEPEST:
            raise InputError(
                str(self.path),
                f"holds more than {_MOST_VALUES} values, or itself",
                "write the steps out without aliases",
            )
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines.setdefault((*place, index), item.start_mark.line + 1)
            return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == Loader.MERGE:
                merged.extend(value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node])
                continue
            key = self._key(key_node, place)
            if key is None:
                continue
            here, line = (*place, key), key_node.start_mark.line + 1
            if key in found:
                self._mistake(line, here, f"is written twice, first in line {self.lines[here]}", "keep one of them")
                continue
            self.lines[here] = line
            found[key] = self.value(value_node, here)
        for source in merged:
            self._merge(source, place, found)
        return found

    def _merge(self, source: yaml.Node, place: Place, found: dict[str, Any]) -> None:
        if not isinstance(source, yaml.MappingNode):
            self._mistake(
                source.start_mark.line + 1, place, "`<<` does not name a mapping", "name one with & and use it with *"
            )
            return
        for key_node, value_node in source.value:
            key = self._key(key_node, place)
            if key is not None and key not in found:
                self.lines[(*place, key)] = key_node.start_mark.line + 1
                found[key] = self.value(value_node, (*place, key))

    def _key(self, node: yaml.Node, place: Place) -> str | None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            self._mistake(line, place, "a list or mapping stands where a name should", "write `name: value`")
            return None
        if node.tag != Loader.TEXT:
            shown = node.value or "nothing"
            self._mistake(
                line,
                place,
                f"{shown} is not a name",
                f'write it in quotes, "{node.value}"' if node.value else "write `name: value`",
            )
        return str(node.value)

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text, tag = str(node.value), node.tag
        if tag == Loader.TEXT:
            return text
        if tag == Loader.NULL:
            return None
        if tag == Loader.BOOL and text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            if tag == Loader.INT:
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            if tag == Loader.FLOAT and math.isfinite(number := float(text)):
                return number
        except ValueError:
            pass
        line = node.start_mark.line + 1
        if tag in (Loader.INT, Loader.FLOAT, Loader.BOOL):
            self._mistake(line, place, f"{quote(text)} is not a finite number", "write an ordinary number")
        else:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            self._mistake(line, place, f"the tag {shown} is not plain data", "write the value without a tag")
        return text

    def _mistake(self, line: int, place: Place, what: str, todo: str) -> None:
        where = f"{self.path}:{line}"
        self.mistakes.append(Mistake(line, InputError(f"{where}: {dotted(place)}" if place else where, what, todo)))


def value_of(text: str, where: str) -> Any:
    """The value of a `--set` option, read as YAML; InputError names `where`."""
    try:
        node = Loader(text).get_single_node()
    except yaml.YAMLError as error:
        if wrong := unspelled(text):
            raise wrong from None
        raise InputError(where, f"{quote(text)} is not YAML ({problem_of(error)})", "put text in quotes") from None
    if node is None:
        return None
    builder = Builder(Path(where))
    value = builder.value(node, ())
    for mistake in builder.mistakes:
        raise InputError(where, mistake.error.what, mistake.error.todo)
    return value


def problem_of(error: yaml.YAMLError) -> str:
    """What a YAML reader says is wrong, in one line."""
    return str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).replace("\n", " ")
