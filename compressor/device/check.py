"""`--check`: the golden samples again, in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import program
from .child import Child
from .limits import Limits
from .manifest import MODEL, SAMPLES, has_samples, read_manifest, understood
from .predict import Model
from .refused import ALTERED
from .samples import check_samples, inputs_of, load_samples
from .serve import Handlers, Message

INSIDE = "--inside"


def check_apart(folder: Path, threads: int, limits: Limits) -> dict[str, Any]:
    """`check_samples` in a process of its own; where golden samples were left out, noise is answered."""
    command, environment = program.again()
    forks = program.launcher and sys.platform == "linux"
    start = HANDLERS if forks else [*command, INSIDE]
    with Child(start, limits, str(folder / MODEL), ALTERED, environment) as child:
        return child.ask({"do": "check", "bundle": str(folder), "threads": threads})[0]


def _check_here(request: Mapping[str, Any], _: np.ndarray | None) -> Message:
    folder = Path(request["bundle"])
    facts = read_manifest(folder)
    with understood(folder):
        model = Model(folder, facts, request["threads"])
        if not has_samples(facts):
            model.outputs(inputs_of(folder, facts))
            return {"samples": 0}, None
        return check_samples(model, load_samples(folder / SAMPLES), str(folder / SAMPLES)), None


HANDLERS: Handlers = {"check": _check_here}
