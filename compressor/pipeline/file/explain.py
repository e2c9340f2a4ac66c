"""Turns pydantic's errors into sentences a person can act on: where, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import SchemaValidator

from compressor.device.refused import Unfit
from compressor.errors import InputError, closest, meant
from compressor.pipeline.file.document import Document, Mistake, dotted
from compressor.pipeline.file.locate import LENGTHS, Located, locate, worth_telling
from compressor.pipeline.file.words import Schema, accepted, choices, is_number, quote
from compressor.strict import Place, as_written

Spec = TypeVar("Spec", bound=BaseModel)

_RANGES = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_OWN_WORDS = frozenset({"value_error", "assertion_error"})
_MOST_NAMES = 12
_YES_AND_NO = frozenset({"yes", "no", "on", "off", "y", "n"})


def check(
    kind: type[Spec], data: Mapping[str, Any], document: Document, place: Place, name: str
) -> tuple[Spec | None, list[Mistake]]:
    """The specification that `data` describes, or None and every mistake in it; `name` is what the mistakes call it."""
    hidden = {field for field, info in kind.model_fields.items() if info.alias not in (None, field)}
    mistakes = [_no_such_field(_View(kind, document, place, name), (key,)) for key in data if key in hidden]
    try:
        spec: Spec = _strict(kind).validate_python(data)
    except InputError as error:
        return None, [*mistakes, document.mistake(place, error.what, error.todo)]
    except ValidationError as error:
        return None, [*mistakes, *explain(error, kind, data, document, place, name)]
    return (None if mistakes else spec), mistakes


def explain(
    error: ValidationError, kind: type[BaseModel], data: Mapping[str, Any], document: Document, place: Place, name: str
) -> list[Mistake]:
    """One mistake a field. `place` is where `data` stands in the file; `kind` is the class it was checked against."""
    view = _View(kind, document, place, name)
    found: list[Mistake] = []
    unions: dict[Place, list[Located]] = {}
    for located in worth_telling([locate(details, data) for details in error.errors(include_url=False)]):
        if located.branch is None:
            found.append(_sentence(view, located))
        else:
            unions.setdefault(located.at, []).append(located)
    for at, branches in unions.items():
        found.extend(_union(view, at, branches, data))
    return found


@cache
def _strict(kind: type[BaseModel]) -> SchemaValidator:
    """A validator that takes values as written: `"3"` and `true` are no numbers, `yes` is no `true`."""
    return SchemaValidator(as_written(kind.__pydantic_core_schema__))


@cache
def json_schema(kind: type[BaseModel]) -> Schema:
    """The JSON Schema of a specification, with the names that a file uses."""
    return kind.model_json_schema(by_alias=True)


@dataclass(frozen=True)
class _View:
    """What the sentences are about: a class, and where its data stands in the file."""

    kind: type[BaseModel]
    document: Document
    place: Place
    name: str

    def mistake(self, path: Place, what: str, todo: str) -> Mistake:
        return self.document.mistake((*self.place, *path), what, todo)

    def schema(self, path: Place) -> Schema:
        """What the field at a path accepts; alternatives are joined."""
        root = json_schema(self.kind)
        nodes = list(_descend(root, root, path))
        return nodes[0] if len(nodes) == 1 else {"anyOf": nodes}

    def words(self, path: Place, *, ranges: bool = True) -> str:
        return accepted(self.schema(path), json_schema(self.kind), ranges=ranges)

    def fields(self, path: Place) -> list[str]:
        """Names that the mapping at a path may hold."""
        root = json_schema(self.kind)
        return [name for choice in choices(self.schema(path), root) for name in choice.get("properties", ())]


def _descend(node: Schema, root: Schema, path: Place) -> Iterator[Schema]:
    """Every schema that the data at a path may be checked against."""
    if not path:
        yield node
        return
    head, rest = path[0], path[1:]
    for choice in choices(node, root):
        if isinstance(head, int):
            items = choice.get("prefixItems", ())
            inner = items[head] if head < len(items) else choice.get("items")
        else:
            inner = choice.get("properties", {}).get(head, choice.get("additionalProperties"))
        if isinstance(inner, Mapping):
            yield from _descend(inner, root, rest)


def _union(view: _View, at: Place, located: list[Located], data: Any) -> Iterator[Mistake]:
    """The mistakes of the alternative that was probably meant, or one mistake that names all of them."""
    branches: dict[str | int | None, list[Located]] = {}
    for each in located:
        branches.setdefault(each.branch, []).append(each)
    if len(branches) == 1:
        yield from (_sentence(view, each) for each in located)
        return
    inside = {tag: errors for tag, errors in branches.items() if all(len(each.path) > len(at) for each in errors)}
    if inside:
        nearest = min(inside.values(), key=lambda errors: (sum(_shape(each) for each in errors), len(errors)))
        yield from (_sentence(view, each) for each in nearest)
        return
    value: Any = data
    for part in at:
        value = value[part]
    if not isinstance(value, bool) and any(each.details["type"] in _RANGES for each in located):
        yield view.mistake(at, f"{quote(value)} is out of range", f"give {view.words(at)}")
    else:
        yield view.mistake(at, f"{_said(value)} does not fit", f"give {view.words(at)}")


def _shape(located: Located) -> bool:
    """Whether an error says that the mapping is of another alternative."""
    return located.details["type"] in ("missing", "extra_forbidden")


def _sentence(view: _View, located: Located) -> Mistake:
    path, details = located.path, located.details
    kind, value = details["type"], details["input"]
    in_place = bool(path) and path[-1] == details["loc"][-1]
    if kind == "missing" and in_place:
        return _missing(view, path)
    if kind == "missing":  # an item of a list with a place for each
        return view.mistake(path, f"{quote(value)} is too short", f"give {view.words(path)}")
    if kind == "extra_forbidden" and in_place:
        return _no_such_field(view, path)
    if kind == "extra_forbidden":  # a bare word that stands for a mapping
        names, word = view.fields(path), details["loc"][-1]
        return view.mistake(
            path, f"{quote(word)} is not known here", meant(word, names, f"write one of: {', '.join(names)}")
        )
    if kind in _OWN_WORDS:
        error = details.get("ctx", {}).get("error", details["msg"])
        if not isinstance(error, Unfit):
            return view.mistake(path, str(error), "")
        return view.mistake((*path, error.field) if error.field else path, error.problem, error.todo)
    if kind in _RANGES:
        return view.mistake(path, f"{quote(value)} is out of range", f"give {view.words(path)}")
    if kind in LENGTHS:
        return view.mistake(path, f"{quote(value)} is {kind.replace('_', ' ')}", f"give {view.words(path)}")
    if kind == "string_pattern_mismatch":
        return view.mistake(path, f"{quote(value)} has another form", f"write {view.words(path)}")
    words = view.words(path, ranges=False)
    if words == "any value":
        return view.mistake(path, f"{_said(value)} is refused: {details['msg'][:1].lower()}{details['msg'][1:]}", "")
    return view.mistake(path, f"{_said(value)} is not {words}", _advice(view, path, value))


def _missing(view: _View, path: Place) -> Mistake:
    node = view.schema(path)
    if "const" in node:
        return view.mistake(path, "is missing", f"add `{path[-1]}: {node['const']}`")
    return view.mistake(path, "is missing", f"add `{path[-1]}: …` ({_meaning(node) or view.words(path)})")


def _meaning(node: Schema) -> str:
    """A field's description, to be put into a sentence."""
    text = str(node.get("description", "")).rstrip(".")
    return text[:1].lower() + text[1:]


def _no_such_field(view: _View, path: Place) -> Mistake:
    names = view.fields(path[:-1])
    owner = view.name if len(path) == 1 else _owner(path[:-1])
    names = [name for name in names if name not in ("stage", "type")]
    if len(names) > _MOST_NAMES and len(path) == 1:
        return view.mistake(
            path,
            f"no such field in {owner}",
            meant(path[-1], names, f"see `compress stages {view.name.strip(chr(34))}`"),
        )
    rest = f"its fields are {', '.join(names)}" if names else "it has no fields"
    return view.mistake(path, f"no such field in {owner}", meant(path[-1], names, rest))


def _owner(path: Place) -> str:
    """The last name of a path with the list positions after it, in quotes."""
    start = max((index for index, part in enumerate(path) if isinstance(part, str)), default=0)
    return f'"{dotted(path[start:])}"'


def _said(value: Any) -> str:
    return "an empty value" if value is None else quote(value)


def _advice(view: _View, path: Place, value: Any) -> str:
    root = json_schema(view.kind)
    options = choices(view.schema(path), root)
    allowed = [
        option for choice in options for option in choice.get("enum", [choice["const"]] if "const" in choice else [])
    ]
    if isinstance(value, str):
        near = closest(value, [option for option in allowed if isinstance(option, str)])
        if near:
            return f'did you mean "{near}"?'
        if any(choice.get("type") in ("integer", "number") for choice in options) and is_number(value):
            return "write it without quotes"
        if value.lower() in _YES_AND_NO and any(choice.get("type") == "boolean" for choice in options):
            return "write true or false"
    if len(options) == 1 and _fits_as_item(options[0].get("items", {}), value):
        return f"write it as a list, [{value}]"
    if len(allowed) == 1 == len(options):
        return f"write {quote(allowed[0])}"
    words, meaning = view.words(path), _meaning(view.schema(path))
    return f"give {words} ({meaning})" if meaning and words == view.words(path, ranges=False) else f"give {words}"


def _fits_as_item(items: Schema, value: Any) -> bool:
    """Whether a bare value would be right as the only item of a list."""
    kinds = {"string": str, "integer": int, "number": int | float}
    return not isinstance(value, bool) and isinstance(value, kinds.get(str(items.get("type")), ()))
