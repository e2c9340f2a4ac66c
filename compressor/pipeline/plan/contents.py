"""What the steps of a pipeline read beside their inputs, by content: weights and the code of factories."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from compressor.errors import InputError, unspelled
from compressor.models.settings import Code
from compressor.pipeline.file.document import dotted
from compressor.pipeline.file.spec import Pipeline
from compressor.store.digests import Digests
from compressor.store.keys import digest
from compressor.strict import FilePath, Place


def of_step(pipeline: Pipeline, digests: Digests, step: str) -> dict[Place, str]:
    """Place in the spec -> digest of the file, or of the package's code, which is read and not imported.

    Raises:
        InputError: a file or a package is not there.
    """
    found: dict[Place, str] = {}
    for place, read in pipeline.steps[step].reads().items():
        if isinstance(read, FilePath):
            path = read.under(pipeline.base)
            if not path.is_file():
                if wrong := unspelled(str(path)):
                    raise wrong
                raise InputError(dotted(("steps", step, *place)), f'no file "{path}"', read.todo)
            found[place] = digests.file(path)
        elif isinstance(read, Code):
            source = _source(pipeline.base, read.package)
            if source is None:
                where, todo = dotted(("steps", step, *place[:-1])), "put it beside the pipeline file or install it"
                raise InputError(where, f'no package "{read.package}"', todo)
            parts = sorted({source, *_beside(source)}, key=lambda part: part.name)
            made = {part.name: _digest(part, digests) for part in parts}
            found[place] = made[source.name] if len(made) == 1 else digest(made)
    return found


def _digest(source: Path, digests: Digests) -> str:
    return digests.tree(source, suffixes=(".py",)) if source.is_dir() else digests.file(source)


def _source(base: Path, package: str) -> Path | None:
    """The folder or file of a factory's package, found without importing it."""
    beside = _module(base, package)
    if beside is not None:
        return beside
    try:
        found = importlib.util.find_spec(package)
    except ValueError:  # `__main__`
        return None
    if found is None or found.origin is None or not Path(found.origin).is_file():
        return None
    return Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)


def _module(folder: Path, name: str) -> Path | None:
    """The package or module of this name in a folder."""
    return next((path for path in (folder / name, folder / f"{name}.py") if path.exists()), None)


def _beside(source: Path) -> set[Path]:
    """The modules that lie beside a factory's and that it imports, over as many steps as it takes.

    None where it is installed: its neighbours there are libraries, with versions of their own.
    """
    if "site-packages" in source.parts:
        return set()
    found: set[Path] = set()
    waiting = [source]
    while waiting:
        for name in _imports(waiting.pop()):
            path = _module(source.parent, name)
            if path is not None and path != source and path not in found:
                found.add(path)
                waiting.append(path)
    return found


def _imports(source: Path) -> Iterator[str]:
    """Top-level names of the modules that the code imports; a file that cannot be parsed is told of when it runs."""
    for file in source.rglob("*.py") if source.is_dir() else [source]:
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]
