"""Names to networks: the own catalogue, torchvision, timm, and the user's factories. Weights come from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compressor import seeds
from compressor.device.memory import short_of_memory
from compressor.errors import CompressError, InputError, ResourceError
from compressor.models import modes, names, size
from compressor.models.factories import from_factory
from compressor.models.names import Named, Reference
from compressor.models.small_resnets import SmallResNet

SMALLEST = 4
"""Pixels a side that the own networks need: two stages halve them."""


def build(
    ref: object,
    *,
    outputs: int,
    input_shape: Sequence[int],
    base: Path | None = None,
    seed: int = 0,
    check: bool = True,
) -> nn.Module:
    """The network of a reference, untrained, in train mode on the CPU; the same numbers for the same seed.

    ref: text, JSON or the spec's types. input_shape: [channels, height, width]. base: where a factory's package may
    lie, besides Python's path. check: send a sample through it.

    Raises:
        InputError: an unknown name, an input that the network cannot take, or an answer of the wrong shape.
    """
    one = names.reference(ref)
    if found := names.mistake(one):
        raise InputError("model", *found)
    if check and one.library:
        size.check(_without_memory(one, outputs, tuple(input_shape)), str(one))
    with seeds.kept(), size.bounded(str(one)) if check else nullcontext():
        seeds.begin(seeds.derive(seed, "init"))
        model = _build(one, outputs, tuple(input_shape), base)
    if check:
        size.check(model, str(one))
        _try(model, one, outputs, tuple(input_shape))
    model.train()
    return model


def _build(one: Reference, outputs: int, input_shape: tuple[int, ...], base: Path | None) -> nn.Module:
    if one.factory:
        return from_factory(one.factory, one.args, base)
    if one.library == "torchvision":
        return _torchvision(one, outputs, input_shape)
    if one.library == "timm":
        return _timm(one, outputs, input_shape)
    return _own(one, outputs, input_shape)


def _without_memory(one: Reference, outputs: int, input_shape: tuple[int, ...]) -> nn.Module:
    """The network's shapes alone; an empty one where it cannot be made without its numbers."""
    try:
        with torch.device("meta"):
            return _build(one, outputs, input_shape, None)
    except Exception:  # what is really wrong with it, its making says
        return nn.Module()


def _own(one: Reference, outputs: int, input_shape: tuple[int, ...]) -> nn.Module:
    if min(input_shape[1:]) < SMALLEST:
        raise InputError(
            f"model {one}",
            f"an input of {_shape(input_shape)} collapses to nothing in its stages",
            f"give it at least {SMALLEST}x{SMALLEST} pixels (task.preprocess)",
        )
    if one.name in names.OPTION_A:
        return SmallResNet(names.OPTION_A[one.name], one.widths or (16, 32, 64), "pad", input_shape[0], outputs)
    return SmallResNet(1, one.widths or names.MLPERF[one.name], "convolution", input_shape[0], outputs)


def _torchvision(one: Reference, outputs: int, input_shape: tuple[int, ...]) -> nn.Module:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    _known(one, known)
    if input_shape[0] != 3:
        raise InputError(
            f"model {one}", f"torchvision's networks take 3 channels, and the task gives {input_shape[0]}",
            "add `channels: rgb` to task.preprocess, or use `timm:NAME`",
        )  # fmt: skip
    special: dict[str, Any] = {}
    if one.bare.startswith("vit_"):
        if input_shape[1] != input_shape[2]:
            raise InputError(
                f"model {one}",
                f"torchvision's vision transformers take square pictures, and the task gives {_shape(input_shape)}",
                "crop them to a square in task.preprocess, or use `timm:NAME`",
            )
        special["image_size"] = input_shape[1]
    if one.bare in ("googlenet", "inception_v3"):  # the auxiliary heads only serve their authors' training
        special |= {"aux_logits": False, "transform_input": True, "init_weights": True}
    try:
        made: nn.Module = torchvision.models.get_model(one.bare, weights=None, num_classes=outputs, **special)
    except (RuntimeError, TypeError, AssertionError, ValueError) as problem:
        raise _cannot_take(one, input_shape, problem) from problem
    return made


def _timm(one: Reference, outputs: int, input_shape: tuple[int, ...]) -> nn.Module:
    import timm

    if not timm.is_model(one.bare):
        _known(one, timm.list_models())
    try:
        return timm.create_model(one.bare, pretrained=False, num_classes=outputs, **timm_options(one, input_shape))
    except (RuntimeError, TypeError, AssertionError, ValueError) as problem:
        raise _cannot_take(one, input_shape, problem) from problem


def timm_options(one: Reference, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """What timm must be told of an input of [channels, height, width]; the size only where the network fixes it."""
    import timm

    config = timm.get_pretrained_cfg(one.bare, allow_unregistered=True)
    fixed = config is not None and config.fixed_input_size and tuple(config.input_size[1:]) != input_shape[1:]
    return {"in_chans": input_shape[0], **({"img_size": input_shape[1:]} if fixed else {})}


def _known(one: Reference, known: list[str]) -> None:
    if one.bare not in known:
        raise InputError(
            "model",
            f"{one.library} has no network {one.bare!r}",
            names.did_you_mean(one.bare, known, f"look it up in {one.library}'s list of models"),
        )


def _try(model: nn.Module, one: Reference, outputs: int, input_shape: tuple[int, ...]) -> None:
    """Send two samples through the network: it must take the task's input and answer with a number for each class.

    From 0 to 1 they rise: a network that divides by a sample's deviation has no answer to zeros.
    """
    try:
        with seeds.kept():
            rising = torch.linspace(0, 1, math.prod(input_shape)).reshape(input_shape)
            answer: Any = modes.answered(model, {"input": rising.repeat(2, *[1] * len(input_shape))})
    except CompressError:
        raise
    except Exception as problem:
        raise _cannot_take(one, input_shape, problem) from problem
    shape = tuple(answer.shape) if isinstance(answer, Tensor) else None
    if shape != (2, outputs):
        raise InputError(
            f"model {one}",
            f"it answers with {'shape ' + str(list(shape)) if shape else type(answer).__name__} for 2 samples,"
            f" where [2, {outputs}] is needed",
            f"make it answer one tensor with {outputs} numbers a sample",
        )
    if answer.device.type == "cpu" and not bool(torch.isfinite(answer).all()):
        what = f"an input of {_shape(input_shape)} gives no finite answer"
        raise InputError(f"model {one}", what, "use larger pictures")


def _cannot_take(one: Reference, input_shape: tuple[int, ...], problem: Exception) -> CompressError:
    if short_of_memory(problem):
        what = f"the memory does not suffice for two samples of {_shape(input_shape)}"
        return ResourceError(f"model {one}", what, "use smaller pictures, or end other programs")
    reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
    return InputError(
        f"model {one}",
        f"it cannot take an input of {_shape(input_shape)} ({reason})",
        "resize the pictures in task.preprocess, or choose another network",
    )


def _shape(input_shape: Sequence[int]) -> str:
    return "x".join(map(str, input_shape))


def declared_preprocess(named: Named) -> list[dict[str, Any]] | None:
    """The preprocessing that a network's weights declare, as items of `task.preprocess`; None where they do not.

    torchvision: the transforms of the network's default weights. timm: its data configuration. A file's weights
    (`weights: PATH`) are taken to be made like the library's own.
    """
    one = named.reference
    if not named.declares or names.mistake(one):
        return None
    return _declared_by_torchvision(one) if one.library == "torchvision" else _declared_by_timm(one)


def _declared_by_torchvision(one: Reference) -> list[dict[str, Any]] | None:
    import torchvision

    _known(one, torchvision.models.list_models(module=torchvision.models))
    weights = torchvision.models.get_model_weights(one.bare)
    if not list(weights):
        return None
    preset = weights.DEFAULT.transforms()
    resize = {"shortest": int(preset.resize_size[0]), "interpolation": preset.interpolation.value}
    return _items(resize, list(preset.crop_size) * (2 // len(preset.crop_size)), 3, preset.mean, preset.std)


def _declared_by_timm(one: Reference) -> list[dict[str, Any]] | None:
    import timm
    from timm.data.config import resolve_data_config

    if not timm.is_model(one.bare):
        _known(one, timm.list_models())
    pretrained = timm.get_pretrained_cfg(one.bare)
    if pretrained is None:
        return None
    config = resolve_data_config(pretrained_cfg=pretrained.to_dict())  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    scaled = [math.floor(side / config["crop_pct"]) for side in (height, width)]
    crop = config["crop_mode"]
    if config["crop_pct"] > 1:  # they fill up what is missing, by how much depends on the picture
        crop = f"{height}x{width} of a smaller picture"
    if crop == "squash":
        resize: dict[str, Any] = {"exact": scaled}
    elif crop == "center" and height == width:
        resize = {"shortest": scaled[0]}
    else:
        raise InputError(
            f"model {one}", f"its weights declare a crop ({crop}) that has no place in the closed list",
            "write task.preprocess out",
        )  # fmt: skip
    resize["interpolation"] = config["interpolation"]
    return _items(resize, [height, width], channels, config["mean"], config["std"])


def _items(
    resize: dict[str, Any], crop: list[int], channels: int, mean: Sequence[float], std: Sequence[float]
) -> list[dict[str, Any]]:
    # The libraries' loaders convert before anything else: what lies under transparent pixels must not bleed in.
    return [
        {"channels": "gray" if channels == 1 else "rgb"},
        {"resize": resize},
        {"center_crop": [int(side) for side in crop]},
        {"scale": 255},
        {"mean": [float(value) for value in mean]},
        {"std": [float(value) for value in std]},
    ]
