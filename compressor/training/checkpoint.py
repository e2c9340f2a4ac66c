"""Where a training is, in one file: tensors as safetensors, the position as JSON in its header. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

POSITION = "position"


@dataclass
class Position:
    """How far a training is. epoch, batch: the next to run. loss_sum, samples: of the epoch under way.

    best: the best validation metric, of `best_epoch`. identity: of the settings; another training's file is not used.
    """

    identity: str
    epoch: int = 0
    batch: int = 0
    loss_sum: float = 0.0
    samples: int = 0
    curves: list[dict[str, Any]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    stopped: bool = False


Tensors = Mapping[str, Mapping[str, Tensor]]
"""Tensors by part (`model`, `optimizer`, `average`, `best`) and name."""


def write(path: Path, position: Position, parts: Tensors) -> None:
    """Write the file under a temporary name, sync it, and rename it: there is always a whole one."""
    from safetensors.torch import save_file

    named = {f"{part}/{name}": value for part, held in parts.items() for name, value in held.items()}
    flat = {name: value.detach().cpu().contiguous().clone() for name, value in named.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    save_file(flat, new, metadata={POSITION: json.dumps(asdict(position))})
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)


def read(path: Path, identity: str) -> tuple[Position, dict[str, dict[str, Tensor]]] | None:
    """The position and the tensors by part; None where there is no file, or one of another training."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()[POSITION]))
            if position.identity != identity:
                return None
            for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
                part, _, rest = name.partition("/")
                parts.setdefault(part, {})[rest] = file.get_tensor(name)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        return None
    return position, parts


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers, those that a state dict leaves out included."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def put(model: nn.Module, held: Mapping[str, Tensor]) -> None:
    """Give the model what `tensors` told of.

    Not through `load_state_dict`: torchao's observers reset settings of theirs there, and grow their buffers.
    """
    for name, now in tensors(model).items():
        value = held[name]
        if now.shape == value.shape:
            now.copy_(value)
            continue
        owner, _, entry = name.rpartition(".")
        module = model.get_submodule(owner)
        if entry in module._buffers:
            module._buffers[entry] = value.to(now.device)
        else:
            now.data = value.to(now.device)


def copied(held: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that later training does not change."""
    return {name: value.detach().clone() for name, value in held.items()}
