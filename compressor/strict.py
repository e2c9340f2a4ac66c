"""Settings that cannot exist in a wrong state: frozen, taken as they are written, and what in them is read is typed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from compressor.device.refused import Unfit

Place = tuple[str | int, ...]
"""Where something is in a file: the keys and list positions that lead to it."""

Idle = tuple[str, str | Unfit]
"""An option without effect, and why; with what to do where leaving it out is not all."""

_SCALARS = frozenset({"bool", "float", "int", "str"})
_NOT_SCHEMAS = frozenset({"default", "expected", "metadata", "serialization"})
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def as_written(schema: Any) -> Any:
    """The same core schema with strict scalars; lists still stand for tuples, and text for paths."""
    if isinstance(schema, dict):
        made = {name: part if name in _NOT_SCHEMAS else as_written(part) for name, part in schema.items()}
        kind = made.get("type")
        return {"strict": True, **made} if isinstance(kind, str) and kind in _SCALARS else made
    if isinstance(schema, list | tuple):
        return type(schema)(as_written(part) for part in schema)
    return schema


class Frozen(BaseModel):
    """A specification that cannot exist in a wrong state, nor be changed.

    Values are taken as written: `"3"` and `true` are no numbers, and `yes` is no `true`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's schema of the class, with strict scalars."""
        return cast(CoreSchema, as_written(handler(source)))


@dataclass(frozen=True)
class ForKey:
    """The context in which settings are dumped for a step's key: digest by path, since a key holds no path."""

    files: Mapping[str, str]


class Later:
    """Marks a field of a step that came after results were made without it: at its default it is not in the key, so
    that those stay valid."""


def left_out(settings: BaseModel) -> set[str]:
    """The fields, as a file names them, that came later and are at their default."""
    fields = type(settings).model_fields.items()
    later = ((name, info) for name, info in fields if Later in info.metadata)
    return {info.alias or name for name, info in later if getattr(settings, name) == info.get_default()}


class Read(str):
    """Text that names what a step reads beside its inputs: wherever it stands, its contents count in the step's key.

    words: what may stand there and names nothing to read. pattern: of what the text must be.
    """

    words: ClassVar[tuple[str, ...]] = ()
    pattern: ClassVar[str | None] = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Text as it is written, turned into this type unless it is one of the words."""
        dumped = core_schema.plain_serializer_function_ser_schema(cls._dumped, info_arg=True)
        text = core_schema.str_schema(pattern=cls.pattern)
        return core_schema.no_info_after_validator_function(cls._made, text, serialization=dumped)

    @classmethod
    def _made(cls, text: str) -> str:
        return text if text in cls.words else cls(text)

    @classmethod
    def _dumped(cls, value: Any, info: Any) -> Any:
        return cls.in_key(value, info.context) if isinstance(info.context, ForKey) else str(value)

    @classmethod
    def in_key(cls, value: str, key: ForKey) -> str | None:
        """What stands in the key in the place of a value: here the text itself, beside which its contents count."""
        return str(value)


class FilePath(Read):
    """The path of a file, relative to the pipeline's; `${NAME}` in it takes a variable of the environment."""

    @classmethod
    def _made(cls, text: str) -> str:
        return super()._made(expanded(text))

    @classmethod
    def in_key(cls, value: str, key: ForKey) -> str | None:
        """The digest of the file."""
        return key.files[value] if isinstance(value, FilePath) else value

    todo: ClassVar[str] = "give the path of a file that is there"
    """What to do where there is no such file."""

    def under(self, base: Path) -> Path:
        """The file, from the folder that relative paths start from."""
        return Path(os.path.normpath(base / Path(self).expanduser()))


def expanded(text: Any) -> Any:
    """Text with the variables of the environment that it names as `${NAME}`; ValueError where some are not set."""
    if not isinstance(text, str):
        return text
    if missing := [name for name in dict.fromkeys(_VARIABLE.findall(text)) if not os.environ.get(name)]:
        which = f"variable{'s' if len(missing) > 1 else ''} {' and '.join(name or '${}' for name in missing)}"
        given = " ".join(f"{name or 'NAME'}=…" for name in missing)
        raise Unfit(f"the environment has no {which}", f"set {'them' if len(missing) > 1 else 'it'}: export {given}")
    return _VARIABLE.sub(lambda match: os.environ[match[1]], text)


def reads(settings: Any, place: Place = ()) -> Iterator[tuple[Place, Read]]:
    """Everything in the settings that names what is read, at any depth, and where it stands.

    Raises:
        TypeError: a path of another type, whose file would be missing in the key.
    """
    if isinstance(settings, Read):
        yield place, settings
    elif isinstance(settings, Path):
        raise TypeError(f"{'.'.join(map(str, place))} is a Path; a field of a step is a FilePath")
    elif isinstance(settings, BaseModel):
        for name, info in type(settings).model_fields.items():
            yield from reads(getattr(settings, name), (*place, info.alias or name))
    elif isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from reads(value, (*place, key))
    elif isinstance(settings, list | tuple):
        for index, value in enumerate(settings):
            yield from reads(value, (*place, index))
