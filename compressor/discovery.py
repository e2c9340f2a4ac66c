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
    """What every file of a package defines under a name, in the files' order."""
    return (getattr(import_module(f"{package.__name__}.{file}"), name) for file in files(package))
