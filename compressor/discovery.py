"""What a package's files define: a package whose every file is one thing needs no list of them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any


def files(package: ModuleType) -> list[str]:
    """The names of a package's files, in alphabetical order; none of them is loaded."""
    return sorted(one.name for one in iter_modules(package.__path__))


def each(package: ModuleType, name: str) -> Iterator[Any]:
    """What the files of a package define under a name, in their order; those that define no such are passed over."""
    for file in files(package):
        if hasattr(module := import_module(f"{package.__name__}.{file}"), name):
            yield getattr(module, name)
