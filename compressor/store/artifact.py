"""What a step leaves behind: a folder of files, immutable, addressed by its step key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["model", "onnx", "bundle", "measurement"]


@dataclass(frozen=True)
class Traits:
    """What a kind of artifact is. words: in a sentence. network: whether it is a model that others can be compared
    with. graph: whether an ONNX graph is made in it. ships: whether it goes to a device."""

    words: str
    network: bool = False
    graph: bool = False
    ships: bool = False


KINDS: Mapping[Kind, Traits] = {
    "model": Traits("a model", network=True),
    "onnx": Traits("an ONNX graph", network=True, graph=True),
    "bundle": Traits("a bundle", graph=True, ships=True),
    "measurement": Traits("measurements"),
}


@dataclass(frozen=True)
class Artifact:
    """One step's result. `facts` are what the stage found out, as JSON; equal runs have equal facts.

    `record` holds what may differ between equal runs (seconds, threads, created) and no other step reads.
    """

    key: str
    kind: Kind
    stage: str
    folder: Path
    facts: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """The path of one of the artifact's files."""
        return self.folder / name
