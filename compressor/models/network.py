"""A network in a folder: `network.json` says how to build it, `weights.safetensors` holds the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from compressor.errors import InputError, IntegrityError
from compressor.models import catalogue, modes, names, plain, state
from compressor.models.small_resnets import Block

DESCRIPTION, WEIGHTS = "network.json", "weights.safetensors"

Shapes = Mapping[str, Mapping[str, Any]]
"""Widths of a network's modules by name, as JSON: {"conv1": {"in": 3, "out": 16, "groups": 1}, "bn1": {"out": 16},
"linear": {"in": 64, "out": 10}, "layer2.0": {"pad": [8, 8]}}; a parameter of a module of another kind stands as
{"block": {"tensors": {"gamma": [16]}}}."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def save(
    folder: Path, model: nn.Module, ref: object, outputs: int, input_shape: Sequence[int], shapes: Shapes | None = None
) -> None:
    """Write both files. shapes: where the network is narrower than its reference says (pruned).

    The same model gives the same bytes, whatever its device and memory format. Weights that are computed from others
    (`plain.bake`) become plain ones, in the model too.

    Raises:
        InputError: state that cannot be kept.
    """
    from safetensors.torch import save

    plain.bake(model)
    held = state.of(model)
    description = {
        "model": names.reference(ref).json(),
        "outputs": outputs,
        "input_shape": list(input_shape),
        "shapes": {name: dict(one) for name, one in shapes.items()} if shapes else None,
        **({"others": held.others} if held.others else {}),
        **({"versions": held.versions} if held.versions else {}),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (folder / WEIGHTS).write_bytes(
        save(dict(held.tensors))
    )  # not save_file, whose error about a full disk is no OSError


def describe(folder: Path) -> dict[str, Any]:
    """The content of network.json: model, outputs, input_shape, shapes, and others and versions where there are any."""
    try:
        held = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise IntegrityError(
            str(folder / DESCRIPTION), f"it cannot be read ({problem})", "remove the artifact and run again"
        ) from problem
    return dict(held)


def read(folder: Path, base: Path | None = None) -> nn.Module:
    """The network in eval mode on the CPU, with its weights. base: where a factory's package lies.

    Raises:
        IntegrityError: the files do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    description = describe(folder)
    model = built(description, base)
    try:
        tensors = load_file(folder / WEIGHTS)
        filled(model, state.State(tensors, description.get("others") or {}, description.get("versions") or {}),
               description.get("shapes"))  # fmt: skip
    except (SafetensorError, RuntimeError, OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())[:300]
        raise IntegrityError(
            str(folder / WEIGHTS), f"they do not fit the network ({reason})", "remove the artifact and run again"
        ) from problem
    return model


def built(description: Mapping[str, Any], base: Path | None = None) -> nn.Module:
    """The network that the content of a network.json names, as its own code builds it: before its weights and widths.

    Raises:
        InputError: it cannot be built, a factory's network say.
    """
    return catalogue.build(
        description["model"],
        outputs=description["outputs"],
        input_shape=description["input_shape"],
        base=base,
        check=False,
    )


def filled(model: nn.Module, held: state.State, shapes: Shapes | None = None) -> nn.Module:
    """The freshly built network in eval mode, plain, with a state and the widths that belong to it.

    Raises:
        RuntimeError, ValueError: the state does not fit the network.
    """
    wanted = {name for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    if wanted - set(held.tensors):
        plain.bake(model)
    if shapes:
        model = with_shapes(model, shapes)
    state.give(model, held)
    plain.bake(model)
    return modes.in_eval(model)


def shapes(model: nn.Module) -> dict[str, dict[str, Any]]:
    """The real widths of all modules that have any, as JSON; `with_shapes` gives them to another copy."""
    return {name: found for name, module in model.named_modules() if (found := _shape(module))}


def _shape(module: Any) -> dict[str, Any]:
    if isinstance(module, (*_CONVOLUTIONS, *_TRANSPOSED)):
        return {"in": module.in_channels, "out": module.out_channels, "groups": module.groups}
    if isinstance(module, nn.Linear):
        return {"in": module.in_features, "out": module.out_features}
    if isinstance(module, _BATCH_NORMS):
        return {"out": module.num_features}
    if isinstance(module, nn.GroupNorm):
        return {"out": module.num_channels, "groups": module.num_groups}
    if isinstance(module, nn.LayerNorm):
        return {"out": list(module.normalized_shape)}
    if isinstance(module, nn.PReLU):
        return {"out": module.num_parameters}
    found: dict[str, Any] = (
        {"pad": list(module.pads())} if isinstance(module, Block) and module.shortcut is None else {}
    )
    free = {name: list(value.shape) for name, value in module.named_parameters(recurse=False)}
    return {**found, "tensors": free} if free else found


def with_shapes(model: nn.Module, wanted: Shapes) -> nn.Module:
    """The model, changed in place to these widths. Kept are the first channels of each; weights are loaded afterwards.

    Raises:
        InputError: a name that the model does not have, or a width that its module cannot have.
    """
    modules = dict(model.named_modules())
    for name, shape in wanted.items():
        if name not in modules:
            raise InputError("model", f"it has no part {name!r}, whose pruned widths are given", "use the same network")
        _reshape(name, modules[name], shape)
    return model


def _reshape(name: str, module: Any, shape: Mapping[str, Any]) -> None:
    if "pad" in shape:
        module.pad = tuple(shape["pad"])
    for tensor, size in shape.get("tensors", {}).items():
        _resize(name, module, tensor, size)
    if isinstance(module, (*_CONVOLUTIONS, *_TRANSPOSED)):
        module.in_channels, module.out_channels, module.groups = shape["in"], shape["out"], shape["groups"]
        if isinstance(module, _CONVOLUTIONS):
            two = [shape["out"], shape["in"] // shape["groups"]]
        else:
            two = [shape["in"], shape["out"] // shape["groups"]]
        _resize(name, module, "weight", [*two, *module.weight.shape[2:]])
        _resize(name, module, "bias", [shape["out"]])
    elif isinstance(module, nn.Linear):
        module.in_features, module.out_features = shape["in"], shape["out"]
        _resize(name, module, "weight", [shape["out"], shape["in"]])
        _resize(name, module, "bias", [shape["out"]])
    elif "out" in shape:
        _reshape_norm(name, module, shape)


def _reshape_norm(name: str, module: Any, shape: Mapping[str, Any]) -> None:
    out = shape["out"]
    size = list(out) if isinstance(out, Sequence) else [out]
    if isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(size)
    elif isinstance(module, nn.GroupNorm):
        module.num_channels, module.num_groups = out, shape["groups"]
    elif isinstance(module, nn.PReLU):
        module.num_parameters = out
    else:
        module.num_features = out
    for tensor in ("weight", "bias", "running_mean", "running_var"):
        _resize(name, module, tensor, size)


def _resize(name: str, module: nn.Module, tensor: str, size: Sequence[int]) -> None:
    """Cut a parameter or buffer to the given size, keeping its first entries; nothing where the module has none."""
    old = getattr(module, tensor, None)
    if old is None or list(old.shape) == list(size):
        return
    if len(old.shape) != len(size) or any(new < 1 or new > have for new, have in zip(size, old.shape, strict=True)):
        raise InputError(
            "model", f"{name}.{tensor} of {list(old.shape)} cannot be cut to {list(size)}", "use the same network"
        )
    cut = old.detach()[tuple(slice(0, new) for new in size)].clone()
    setattr(
        module, tensor, nn.Parameter(cut, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else cut
    )
