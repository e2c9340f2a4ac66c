"""Whether a network can be followed for batches of any size, as its export will, before it is trained."""

from __future__ import annotations

from torch import nn

from compressor.errors import InputError, StepError
from compressor.onnx_graph import exporter
from compressor.problem.signature import Signature

MODULES = 1000
"""A network of more parts is not asked: following it would take minutes."""


def check(model: nn.Module, signature: Signature) -> None:
    """Trace the network, which stays as it is; operators that ONNX lacks are found when its graph is written.

    Raises:
        InputError: it cannot be traced; says why.
    """
    if sum(1 for _ in model.modules()) > MODULES:
        return
    try:
        exporter.trace(model, signature)
    except StepError as problem:
        raise InputError("", f"it could be trained and not be exported: {problem.what}", problem.todo) from problem
