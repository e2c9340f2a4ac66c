"""What the steps of a pipeline read beside their inputs, by content: weights and the code of factories."""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compressor.errors import InputError, unspelled
from compressor.pipeline.spec import Pipeline
from compressor.stages.base import FactoryModel
from compressor.store.digests import Digests
from compressor.store.keys import digest


def of_step(pipeline: Pipeline, digests: Digests, step: str) -> dict[str, str]:
    """Field -> digest of the weights file or of the factory's code, which is read and not imported.

    Raises:
        InputError: the file or the package is not there.
    """
    chosen: Any = pipeline.steps[step]
    found: dict[str, str] = {}
    weights = getattr(chosen, "weights", None)
    if isinstance(weights, str) and weights not in ("none", "default"):
        path = Path(os.path.normpath(pipeline.base / Path(weights).expanduser()))
        if not path.is_file():
            if wrong := unspelled(str(path)):
                raise wrong
            where = f"steps.{step}.weights"
            raise InputError(where, f'no file "{path}"', "give the path of a checkpoint")
        found["weights"] = digests.file(path)
    model = getattr(chosen, "model", None)
    if isinstance(model, FactoryModel):
        source = _source(pipeline.base, model.factory)
        if source is None:
            package = model.factory.partition(":")[0].split(".")[0]
            where = f"steps.{step}.model"
            raise InputError(where, f'no package "{package}"', "put it beside the pipeline file or install it")
        parts = sorted({source, *_beside(source)}, key=lambda part: part.name)
        made = {part.name: _digest(part, digests) for part in parts}
        found["factory"] = made[source.name] if len(made) == 1 else digest(made)
    return found


def _digest(source: Path, digests: Digests) -> str:
    return digests.tree(source, suffixes=(".py",)) if source.is_dir() else digests.file(source)


def _source(base: Path, factory: str) -> Path | None:
    """The folder or file of a factory's package, found without importing it."""
    package = factory.partition(":")[0].split(".")[0]
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
