"""Files to weights: safetensors and foreign `.pt`, read without running any code that they hold."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compressor.errors import InputError

KEYS = ("state_dict", "model", "state_dict_ema", "ema")
PREFIXES = ("module.", "model.", "_orig_mod.")
SUFFIXES = (".safetensors", ".pt", ".th", ".pth", ".ckpt", ".bin")
# Counters that old files lack and that an average with a fixed momentum never reads; `n_averaged` is AveragedModel's.
_OPTIONAL = "num_batches_tracked"
_IGNORED = ("n_averaged",)
# Heads that only helped the authors' training; the catalogue builds the networks without them.
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


def load_into(model: nn.Module, path: Path, key: str | None = None, *, new_head: bool = False) -> list[str]:
    """Put a file's weights into the model; what you get is the names of the tensors that kept the model's own values.

    key: where in the file the weights lie, when not at one of the usual places. new_head: a last layer of another
    shape stays as it is in the model, instead of being a mistake.

    Raises:
        InputError: no such file, a file that needs code to be read, weights of another architecture or of whole
            numbers, or weights that are not finite numbers.
    """
    return put(model, read(path, key), f"weights {path}", new_head=new_head)


def read(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """The weights in a file by name, on the CPU.

    Raises:
        InputError: no such file, a file that needs code to be read, or no weights at `key`.
    """
    where = f"weights {path}"
    if not path.is_file():
        raise InputError(
            where, "there is no such file", "check the path; a relative one starts at the pipeline's folder"
        )
    if path.suffix == ".safetensors":
        return _select(_read_safetensors(path), key, where)
    if path.suffix not in SUFFIXES:
        raise InputError(where, f"a file ending in {path.suffix!r} is not known", f"use one of {', '.join(SUFFIXES)}")
    return _select(_read_torch(path), key, where)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as problem:
        raise InputError(
            f"weights {path}", f"this is no whole safetensors file ({problem})", "fetch or write it again"
        ) from problem


def _read_torch(path: Path) -> Any:
    where = f"weights {path}"
    _look_at_beginning(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as problem:
        raise InputError(
            where, "reading it would run code that it holds, which is refused", _conversion(path)
        ) from problem
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError) as problem:
        if "TorchScript" in str(problem):
            raise InputError(
                where, "it holds a TorchScript program, which is refused", _conversion(path, script=True)
            ) from problem
        reason = (str(problem).strip().splitlines() or ["empty"])[0]
        raise InputError(where, f"this is no whole PyTorch file ({reason})", "fetch or write it again") from problem


def _look_at_beginning(path: Path) -> None:
    """Refuse what is no PyTorch file at all: neither the zip archive of today's nor the pickle of the oldest ones.

    Raises:
        InputError: saying what lies there instead.
    """
    with path.open("rb") as file:
        begins = file.read(64)
    if begins.startswith((b"PK", b"\x80")):
        return
    if begins.startswith(b"version https://git-lfs"):
        what, todo = "this is a pointer of Git LFS and not the file itself", "fetch it: git lfs pull"
    elif not begins:
        what, todo = "the file is empty", "fetch or write it again"
    else:
        shown = begins[:20].decode("ascii", "backslashreplace").splitlines()[0]
        what, todo = f"this is no PyTorch file (it begins with {shown!r})", "fetch or write it again"
    raise InputError(f"weights {path}", what, todo)


def _conversion(path: Path, script: bool = False) -> str:
    """The two lines that turn a file that its reader trusts into safetensors."""
    new = path.with_suffix(".safetensors").name
    if script:
        read_it = (
            f"import torch, safetensors.torch; state = torch.jit.load({path.name!r}, map_location='cpu').state_dict()"
        )
    else:
        read_it = (
            "import torch, safetensors.torch;"
            f" file = torch.load({path.name!r}, map_location='cpu', weights_only=False);"
            " state = file.get('state_dict', file) if isinstance(file, dict) else file.state_dict()"
        )
    return (
        "if you trust it, convert it once in Python and name the new file:\n"
        f"    {read_it}\n"
        "    safetensors.torch.save_file("
        f"{{k: v.clone() for k, v in state.items() if isinstance(v, torch.Tensor)}}, {new!r})"
    )


def _select(held: Any, key: str | None, where: str) -> dict[str, Tensor]:
    """The mapping of names to tensors inside a file: at `key`, else the file itself, else at the usual places."""
    if not isinstance(held, Mapping):
        raise InputError(
            where, f"it holds a {type(held).__name__}, not weights by name", "save the network's state_dict()"
        )
    places: Iterable[str] = (key,) if key is not None else KEYS
    if key is None and _are_weights(held):
        return _tensors(held)
    for place in places:
        if isinstance(held.get(place), Mapping) and _are_weights(held[place]):
            return _tensors(held[place])
    found = ", ".join(map(str, list(held)[:8])) or "nothing"
    what = f"there are no weights at {key!r}" if key is not None else "there are no weights at the usual places"
    raise InputError(where, f"{what}; it holds {found}", "name the place with `key`")


def _are_weights(held: Mapping[str, Any]) -> bool:
    tensors = [isinstance(value, Tensor) for value in held.values()]
    return bool(tensors) and sum(tensors) * 2 > len(tensors)


def _tensors(held: Mapping[str, Any]) -> dict[str, Tensor]:
    return {str(name): value for name, value in held.items() if isinstance(value, Tensor)}


def stripped(state: Mapping[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """The weights without the prefixes that wrappers put in front of every name and that the model does not have."""
    names, result = list(wanted), dict(state)
    while True:
        worn = [p for p in PREFIXES if any(k.startswith(p) for k in result) and not any(k.startswith(p) for k in names)]
        if not worn:
            return result
        result = {name.removeprefix(worn[0]): value for name, value in result.items()}


def put(model: nn.Module, state: Mapping[str, Tensor], where: str, *, new_head: bool = False) -> list[str]:
    """Copy weights into the model by name. See `load_into`; `where` leads the messages.

    A new last layer begins at zero, so that all classes are alike at first. timm draws one of five classes so wide that
    training begins at a loss of 5, where trained features need epochs to unlearn it.
    """
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    given = {name: value for name, value in stripped(state, own).items() if name in own or not _is_extra(name)}
    kept = _other_head(model, own, given) if new_head else []
    given = {name: value for name, value in given.items() if name not in kept}
    missing = [name for name in own if name not in given and name not in kept and not name.endswith(_OPTIONAL)]
    unexpected = [name for name in given if name not in own and not name.endswith(_OPTIONAL)]
    wrong = [name for name in given if name in own and own[name].shape != given[name].shape]
    if missing or unexpected or wrong:
        raise _misfit(where, own, given, missing, unexpected, wrong, head_names(model))
    free = {name for name, _ in model.named_buffers()}
    for name, value in given.items():
        if name in own and own[name].is_floating_point():
            _check_numbers(f"{where}: {name}", value, infinite=name in free)
    with torch.no_grad():
        for name, value in given.items():
            if name in own:
                own[name].copy_(value)
        for name in kept:
            own[name].zero_()
    return kept


def _check_numbers(where: str, value: Tensor, *, infinite: bool) -> None:
    """Refuse what cannot stand in for float weights. infinite: a buffer may hold infinity, as masks do.

    Raises:
        InputError: whole numbers, NaN, or infinity.
    """
    if not value.is_floating_point():
        what = f"it holds {str(value.dtype).removeprefix('torch.')}, and the network computes with float weights"
        raise InputError(where, what, "give the float weights, from before they were quantized or converted")
    wrong = int((value.isnan() if infinite else ~value.isfinite()).sum())
    if wrong:
        what = f"{wrong:,} of its {value.numel():,} values are not finite numbers"
        raise InputError(where, what, "give weights from before the training went wrong, or train them again")


def _is_extra(name: str) -> bool:
    return name in _IGNORED or name.startswith(_AUXILIARY)


def _other_head(model: nn.Module, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """The head's tensors, where any of them has another shape in the file or is not there."""
    head = [name for name in head_names(model) if name in own]
    other = any(name not in given or given[name].shape != own[name].shape for name in head)
    return head if other else []


def head_names(model: nn.Module) -> list[str]:
    """Names of the tensors of the layer that answers: timm's classifier, else the last dense layer or convolution."""
    declared = (getattr(model, "pretrained_cfg", None) or {}).get("classifier")
    places = [declared] if isinstance(declared, str) else list(declared or ())
    layers = dict(model.named_modules())
    if not places or not all(place in layers for place in places):
        places = [name for name, layer in layers.items() if isinstance(layer, nn.Linear | nn.Conv2d)][-1:]
    return [f"{place}.{name}" if place else name for place in places for name in layers[place].state_dict()]


def _misfit(
    where: str, own: Mapping[str, Tensor], given: Mapping[str, Tensor],
    missing: list[str], unexpected: list[str], wrong: list[str], head: list[str],
) -> InputError:  # fmt: skip
    def shapes(name: str) -> str:
        return f"{name} ({list(given[name].shape)} in the file, {list(own[name].shape)} in the network)"

    if wrong and not missing and not unexpected and set(wrong) <= set(head):
        have, want = given[wrong[0]].shape[0], own[wrong[0]].shape[0]
        return InputError(
            where, f"they answer with {have} classes and the task has {want}: {shapes(wrong[0])}",
            "use `finetune`, which replaces the last layer, or weights for these classes",
        )  # fmt: skip
    parts = []
    if missing:
        parts.append(f"{len(missing)} missing, the first {missing[0]} {list(own[missing[0]].shape)}")
    if unexpected:
        parts.append(f"{len(unexpected)} unexpected, the first {unexpected[0]} {list(given[unexpected[0]].shape)}")
    if wrong:
        parts.append(f"{len(wrong)} of another shape, the first {shapes(wrong[0])}")
    return InputError(
        where,
        f"they are of another architecture: {'; '.join(parts)} (of {len(own)})",
        "name the network that they belong to",
    )
