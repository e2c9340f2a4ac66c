"""Files to weights: safetensors and foreign `.pt`, read without running any code that they hold."""

from __future__ import annotations

import pickle
import re
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import conversion
from compressor.models.fitting import Say, put
from compressor.models.names import Reference

PLAIN = ("state_dict", "model", "model_state_dict", "net", "network", "weights", "params", "module", "net_state_dict")
AVERAGED = (
    "state_dict_ema", "model_ema", "ema", "ema_model", "ema_state_dict", "model_ema_state_dict", "params_ema",
    "swa_model", "swa_state_dict", "averaged_model", "shadow",
)  # fmt: skip
SUFFIXES = (".safetensors", ".pt", ".th", ".pth", ".ckpt", ".bin", ".tar")
_OPTIMIZER = re.compile("optim|sched|scaler|rng|random", re.IGNORECASE)


def load_into(
    model: nn.Module,
    path: Path,
    key: str | None = None,
    *,
    new_head: bool = False,
    ref: Reference | None = None,
    input_shape: Sequence[int] | None = None,
    say: Say = lambda _: None,
) -> list[str]:
    """Put a file's weights into the model; what you get is the names of the tensors that kept the model's own values.

    key: where in the file the weights lie, when not at one of the usual places. The rest as in `fitting.put`.

    Raises:
        InputError: no such file, a file that needs code to be read, weights of another architecture or of whole
            numbers, or weights that are not finite numbers.
    """
    state = read(path, key, say)
    return put(model, state, f"weights {path}", new_head=new_head, ref=ref, input_shape=input_shape, say=say)


def read(path: Path, key: str | None = None, say: Say = lambda _: None) -> dict[str, Any]:
    """The weights in a file by name, on the CPU. What the file is, its content says, not its name.

    say: is told of a choice between several places.

    Raises:
        InputError: no such file, a file that needs code to be read, or no weights at `key`.
    """
    where = f"weights {path}"
    if not path.is_file():
        raise InputError(
            where, "there is no such file", "check the path; a relative one starts at the pipeline's folder"
        )
    with path.open("rb") as file:
        begins = file.read(64)
    if path.suffix == ".safetensors" or begins[8:9] == b"{":
        return _select(_read_safetensors(path), key, where, say)
    return _select(_read_torch(path, begins, key), key, where, say)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as problem:
        raise InputError(
            f"weights {path}", f"this is no whole safetensors file ({problem})", "fetch or write it again"
        ) from problem


def _read_torch(path: Path, begins: bytes, key: str | None) -> Any:
    where = f"weights {path}"
    places = (*((key,) if key else ()), *PLAIN, *AVERAGED)
    _look_at_beginning(path, begins)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of what is refused here in our own words
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise InputError(
            where, f"reading it would run code that it holds, which is refused{_needed(path)}",
            conversion.lines(path, places),
        ) from problem  # fmt: skip
    except MemoryError:
        raise
    except Exception as problem:  # a torn pickle or archive raises almost anything
        if "TorchScript" in str(problem):
            todo = conversion.lines(path, (), script=True)
            raise InputError(where, "it holds a TorchScript program, which is refused", todo) from problem
        if "legacy .tar" in str(problem):
            what = "it is of PyTorch's oldest form, whose reading would run code that it holds, which is refused"
            raise InputError(where, what, conversion.lines(path, places)) from problem
        reason = (str(problem).strip().splitlines() or ["empty"])[0]
        raise InputError(where, f"this is no whole PyTorch file ({reason})", "fetch or write it again") from problem


def _needed(path: Path) -> str:
    """What a file would have to run, where it tells."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # the oldest forms have no list, and torn files any error
        return ""
    return f" ({', '.join(found[:3])}{', …' if len(found) > 3 else ''})" if found else ""


def _look_at_beginning(path: Path, begins: bytes) -> None:
    """Refuse what is no PyTorch file at all: neither the zip archive of today's nor the pickle of older ones.

    Raises:
        InputError: saying what lies there instead.
    """
    where = f"weights {path}"
    if begins.startswith(b"PK"):
        if held := _archived(path):
            what = f"this is an archive of {held[0]}{' and others' if len(held) > 1 else ''}, and no PyTorch file"
            if held[0].endswith(".npy"):
                what, todo = (
                    "this is NumPy's archive (.npz), as JAX's weights come",
                    "give the library's own form of it",
                )
                raise InputError(where, what, f"{todo}: a `.safetensors` or `.pth` file")
            raise InputError(where, what, "unpack it, and name the file inside")
        return
    if begins.startswith(b"\x80"):
        return
    if begins.startswith(b"version https://git-lfs"):
        what, todo = "this is a pointer of Git LFS and not the file itself", "fetch it: git lfs pull"
    elif not begins:
        what, todo = "the file is empty", "fetch or write it again"
    elif begins.startswith(b"\x1f\x8b"):
        what, todo = "this is compressed by gzip", "unpack it, and name the file inside"
    elif tarfile.is_tarfile(path):
        try:
            with tarfile.open(path) as archive:
                held = archive.getnames()
        except Exception as problem:  # each way of packing has errors of its own
            what = f"this is an archive that ends too early or is damaged ({problem})"
            raise InputError(where, what, "fetch or write it again") from problem
        if "pickle" in held:  # PyTorch's own form of its first days
            return
        what, todo = f"this is an archive of {', '.join(held[:3])}", "unpack it, and name the file inside"
    elif path.suffix not in SUFFIXES:
        what, todo = f"a file ending in {path.suffix!r} is not known", f"use one of {', '.join(SUFFIXES)}"
    else:
        shown = begins[:20].decode("ascii", "backslashreplace").splitlines()[0]
        what, todo = f"this is no PyTorch file (it begins with {shown!r})", "fetch or write it again"
    raise InputError(where, what, todo)


def _archived(path: Path) -> list[str]:
    """Names in a zip archive that is none of PyTorch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []
    return [] if any(name.endswith(("data.pkl", "constants.pkl")) for name in names) else names


def _select(held: Any, key: str | None, where: str, say: Say) -> dict[str, Any]:
    """The mapping of names to tensors inside a file: at `key`, else the file itself, else at the usual places."""
    if not isinstance(held, Mapping):
        raise InputError(
            where, f"it holds a {type(held).__name__}, not weights by name", "save the network's state_dict()"
        )
    if key is not None:
        return _at_key(held, key, where)
    if _are_weights(held):
        return _tensors(held)
    places = _places(held)
    plain, averaged = ([place for place in usual if place in places] for usual in (PLAIN, AVERAGED))
    others = [place for place in places if place not in (*plain, *averaged)]
    chosen = next(iter((*plain, *averaged)), others[0] if len(others) == 1 else None)
    if chosen is None:
        if others:
            what = f"it holds weights at {' and '.join(others)}"
            raise InputError(where, what, f"name the place with `key`, such as `key: {others[0]}`")
        found = ", ".join(map(str, list(held)[:8])) or "nothing"
        if "param_groups" in held or not _holds_numbers(held):
            optimizer = "param_groups" in held or any(_OPTIMIZER.search(str(name)) for name in held)
            what = f"it holds {'what an optimizer keeps and no' if optimizer else 'no weights of a'} network ({found})"
            raise InputError(where, what, "name the file that the network's state_dict() was saved to")
        what = f"there are no weights at the usual places; it holds {found}"
        raise InputError(where, what, "name the place with `key`")
    rest = [place for place in places if place != chosen]
    if rest:
        say(f"{where}: the weights at `{chosen}` are taken; others lie at {_quoted(rest)} (write `key: {rest[0]}`)")
    elif chosen not in PLAIN:
        say(f"{where}: the weights at `{chosen}` are taken")
    return places[chosen]


def _at_key(held: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """What lies at a place: a name, names inside names (`ema.module`), or all that begins with it."""
    inside: Any = held.get(key)
    if inside is None:
        inside = held
        for part in key.split("."):
            inside = inside.get(part) if isinstance(inside, Mapping) else None
    if isinstance(inside, Mapping):
        if _are_weights(inside):
            return _tensors(inside)
        if deeper := _places(inside):
            return next(iter(deeper.values()))
    for state in (held, *_places(held).values()):
        names = {name.removeprefix(f"{key}."): one for name, one in state.items() if str(name).startswith(f"{key}.")}
        if _are_weights(names):
            return _tensors(names)
    found = ", ".join(map(str, list(held)[:8])) or "nothing"
    what = f"there are no weights at {key!r}; it holds {found}"
    raise InputError(where, what, "name the place with `key`")


def _places(held: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Weights by their place in a mapping, one level deeper too (`ema.module`), in the order of the file."""
    found: dict[str, dict[str, Any]] = {}
    for name, inside in held.items():
        if not isinstance(inside, Mapping) or _OPTIMIZER.search(str(name)):
            continue
        if _are_weights(inside):
            found[str(name)] = _tensors(inside)
            continue
        deeper = {str(one): value for one, value in inside.items() if isinstance(value, Mapping)}
        usual = [one for one in (*PLAIN, "module", *AVERAGED) if one in deeper and _are_weights(deeper[one])]
        if usual:
            found[str(name)] = _tensors(deeper[usual[0]])
    return found


def _holds_numbers(held: Any) -> bool:
    """Whether there are tensors that could be weights anywhere in it, but for what an optimizer keeps."""
    if isinstance(held, Mapping):
        return any(_holds_numbers(one) for name, one in held.items() if not _OPTIMIZER.search(str(name)))
    if isinstance(held, list | tuple):
        return any(map(_holds_numbers, held))
    return isinstance(held, Tensor) and held.dim() > 0


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _are_weights(held: Mapping[str, Any]) -> bool:
    tensors = [isinstance(value, Tensor) for name, value in held.items() if not str(name).endswith("_extra_state")]
    return bool(tensors) and sum(tensors) * 2 > len(tensors)


def _tensors(held: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors, the network's own extra state, and the versions of the layers where the file has them."""
    state = OrderedDict(
        (str(name), value)
        for name, value in held.items()
        if isinstance(value, Tensor) or str(name).endswith("_extra_state")
    )
    if isinstance(metadata := getattr(held, "_metadata", None), Mapping):
        state._metadata = metadata  # type: ignore[attr-defined]
    return state
