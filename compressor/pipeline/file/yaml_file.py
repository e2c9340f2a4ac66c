"""Reads a pipeline file as plain data, and remembers the line of every key.

Numbers and words are those of YAML 1.2: `1e-3` is a number, `on` and `yes` are text, and dates are text.
Nothing in the file is executed, and tags that would make objects are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from compressor.errors import InputError
from compressor.pipeline.file.document import Document, together
from compressor.pipeline.file.overrides import override
from compressor.pipeline.file.words import quote
from compressor.pipeline.file.yaml_nodes import Builder, Loader, problem_of

_HINTS = (
    ("\\t", "indent with spaces, not with tabs"),
    ("mapping values are not allowed", "put text that holds a colon in quotes, and check the indentation"),
    ("undefined alias", "name it with & before it is used with *"),
    ("another document", "keep one pipeline in a file, without a second `---`"),
    ("special characters", "save the file as plain text in UTF-8"),
)


def read(path: Path | str, sets: Sequence[str] = ()) -> Document:
    """A pipeline file as plain data; InputError with every mistake of its form."""
    document = scan(text_of(Path(path)), Path(path), sets)
    if document.mistakes:
        raise together(document.mistakes)
    return document


def text_of(path: Path) -> str:
    """The text of a pipeline file; InputError when it cannot be read as text."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            str(path), "no such file", "give the path of a pipeline file, or write one with `compress init`"
        ) from None
    except IsADirectoryError:
        raise InputError(str(path), "is a folder", "give the path of a pipeline file in it") from None
    except UnicodeDecodeError as error:
        raise InputError(
            str(path), f"byte {error.start} is not UTF-8 text", "give a pipeline file, a text in YAML"
        ) from None
    except OSError as error:
        raise InputError(
            str(path), f"cannot be read ({error.strerror})", "check the path and its permissions"
        ) from None


def scan(text: str, path: Path, sets: Sequence[str] = ()) -> Document:
    """Text as plain data with the mistakes found on the way; InputError where nothing can be read at all."""
    try:
        node = Loader(text).get_single_node()
    except yaml.YAMLError as error:
        raise _not_yaml(error, path) from None
    except RecursionError:
        raise InputError(str(path), "is nested too deeply to be read", "a pipeline needs about six levels") from None
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == Loader.NULL):
        raise InputError(str(path), "the file is empty", "write a pipeline with `compress init`")
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else quote(node.value)
        raise InputError(
            f"{path}:{node.start_mark.line + 1}", f"the file holds {kind}, not a mapping", "begin with `version: 1`"
        )
    builder = Builder(path)
    data = builder.value(node, ())
    document = Document(data, builder.lines, path, text, mistakes=tuple(builder.mistakes))
    return override(document, sets)


def _not_yaml(error: yaml.YAMLError, path: Path) -> InputError:
    problem, context = problem_of(error), str(getattr(error, "context", None) or "")
    if problem.startswith("but found"):
        problem, context = f"{context}, {problem}", ""
    mark = getattr(error, "problem_mark", None)
    begun = getattr(error, "context_mark", None)
    where = str(path) if mark is None else f"{path}:{mark.line + 1}"
    column = "" if mark is None else f" in column {mark.column + 1}"
    since = (
        f", {context} begun in line {begun.line + 1}" if context and begun and mark and begun.line != mark.line else ""
    )
    todo = next((hint for sign, hint in _HINTS if sign in problem), "check brackets, quotes and indentation there")
    return InputError(where, f"not YAML: {problem}{column}{since}", todo)
