"""Networks from the user's own code: the only code that a pipeline file names and we run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compressor.errors import CompressError, InputError
from compressor.models import copies
from compressor.models.names import did_you_mean


def from_factory(factory: str, args: Mapping[str, Any], base: Path | None) -> nn.Module:
    """What `package.module:function` returns for `args`; the package lies in `base` or on Python's path.

    Raises:
        InputError: the module, the function or the network is missing, wrapped, or the user's code raised.
    """
    place, _, attribute = factory.partition(":")
    with _importable(place, base):
        try:
            found: Any = importlib.import_module(place)
        except ModuleNotFoundError as problem:
            raise InputError(
                f"factory {factory}",
                f"there is no module {problem.name!r}",
                f"install it, or put it into {base or 'a folder on PYTHONPATH'}",
            ) from problem
        except (Exception, SystemExit) as problem:
            raise _raised(factory, "its module cannot be imported", problem) from problem
        for part in attribute.split("."):
            if not hasattr(found, part):
                known = [name for name in dir(found) if not name.startswith("_")]
                todo = did_you_mean(part, known, "name a function of that module")
                raise InputError(f"factory {factory}", f"{place} has no {part!r}", todo)
            found = getattr(found, part)
        try:
            model = found(**args)
        except CompressError:
            raise
        except (Exception, SystemExit) as problem:
            raise _raised(factory, "it failed when it was called", problem) from problem
    if not isinstance(model, nn.Module):
        raise InputError(f"factory {factory}", f"it returned a {type(model).__name__}", "return a torch.nn.Module")
    _check_plain(model, f"factory {factory}")
    return model


def _check_plain(model: nn.Module, where: str) -> None:
    """Refuse what can be neither changed, copied nor written as a graph.

    Raises:
        InputError: a TorchScript program or a layer without a size somewhere in the network, `torch.compile` or
            DataParallel around it, or an attribute that cannot be copied.
    """
    script = next((name for name, part in model.named_modules() if isinstance(part, torch.jit.ScriptModule)), None)
    if script is not None:
        what = f"its part `{script}` is a TorchScript program" if script else "it returned a TorchScript program"
        raise InputError(where, what, "return the plain torch.nn.Module that it was made of")
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise InputError(where, f"it returned a {type(model).__name__}", "return the network inside: its `.module`")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        raise InputError(where, "it returned what torch.compile made", "return the network inside: its `._orig_mod`")
    for name, part in model.named_modules():
        held = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        if any(nn.parameter.is_lazy(value) for value in held):
            what = f"its part `{name}` ({type(part).__name__}) has no size until a first sample goes through it"
            raise InputError(
                where,
                what,
                "send one through it in the factory, under `torch.no_grad()`, or give the size, as in `nn.Linear`",
            )
    copies.check(model, where)


@contextmanager
def _importable(module: str, base: Path | None) -> Iterator[None]:
    """Let `base` come first on Python's path, and let no package of the same name from elsewhere stand in."""
    if base is None:
        yield
        return
    top = module.split(".")[0]
    here = base.resolve()
    if (here / f"{top}.py").is_file() or (here / top).is_dir():
        _forget(top, here)
    sys.path.insert(0, str(here))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(here))


def _forget(top: str, here: Path) -> None:
    """Drop an imported package of this name that lies outside `here`."""
    loaded = sys.modules.get(top)
    places = [getattr(loaded, "__file__", None) or "", *map(str, getattr(loaded, "__path__", []))]
    if loaded is not None and not any(place and Path(place).resolve().is_relative_to(here) for place in places):
        for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
            del sys.modules[name]


def _raised(factory: str, what: str, problem: BaseException) -> InputError:
    reason = (str(problem).strip().splitlines() or [""])[0]
    return InputError(f"factory {factory}", f"{what} ({type(problem).__name__}: {reason})", "mend it, or its `args`")
