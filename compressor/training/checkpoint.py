"""Where a training is, in one file: tensors as safetensors, the position as JSON in its header. No pickle."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

POSITION, CHECKSUM = "position", "crc32"


@dataclass
class Position:
    """How far a training is. epoch, batch: the next to run. loss_sum, samples: of the epoch under way.

    best: the best validation metric, of `best_epoch`. identity: of the settings; another training's file is not used.
    extra, best_extra: the network's own extra state now and at the best epoch, as `models.state.extra` encodes it.
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
    extra: dict[str, Any] = field(default_factory=dict)
    best_extra: dict[str, Any] = field(default_factory=dict)


Tensors = Mapping[str, Mapping[str, Tensor]]
"""Tensors by part (`model`, `optimizer`, `average`, `best`, `extra`, `best_extra`) and name."""


def write(path: Path, position: Position, parts: Tensors, *, sync: bool = True) -> None:
    """Write the file under a temporary name and rename it: whenever this process ends, there is a whole one.

    sync: wait until the disk has it, which a busy disk makes slow. Without, a power cut can leave a damaged file;
    `read` sees that by the checksum.
    """
    from safetensors.torch import save

    named = {f"{part}/{name}": value for part, held in parts.items() for name, value in held.items()}
    flat = {name: value.detach().cpu().contiguous().clone() for name, value in named.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:  # not save_file, whose error about a full disk is no OSError
        file.write(save(flat, metadata={POSITION: json.dumps(asdict(position)), CHECKSUM: _checksum(flat)}))
        file.flush()
        if sync:
            os.fsync(file.fileno())
    new.replace(path)


def _checksum(flat: Mapping[str, Tensor]) -> str:
    """A checksum of all names and bytes. Tensors lie on the CPU, contiguous."""
    found = 0
    for name in sorted(flat):
        found = zlib.crc32(flat[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), found))
    return f"{found:08x}"


def read(path: Path, identity: str) -> tuple[Position, dict[str, dict[str, Tensor]]] | None:
    """The position and the tensors by part; None where there is no file, a damaged one, or another training's."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()[POSITION]))
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
            whole = file.metadata()[CHECKSUM] == _checksum(flat)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not whole or position.identity != identity:
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in flat.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value
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
