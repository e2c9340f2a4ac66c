"""Quantization-aware training: a network learns with the rounding of the int8 graph, then is written like any other."""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from compressor.models import modes, plain
from compressor.problem.context import Context
from compressor.problem.task import Task
from compressor.quantization import fake_quant, folding
from compressor.training import loop
from compressor.training.objective import Objective
from compressor.training.settings import TrainingFields

# The ranges follow the data for this share of the training, then stand still.
_FOLLOWING = 0.5


def train(
    model: nn.Module, objective: Objective, task: Task, settings: TrainingFields, weight_bits: int, *,
    example: tuple[Tensor, ...], context: Context,
) -> tuple[nn.Module, list[dict[str, Any]]]:  # fmt: skip
    """The trained float network, batch norms folded, and the curves; rounded by `ptq.quantize` it is what was trained.

    settings: must ask for float32: rounding to 256 levels inside bfloat16, which has 256 levels an octave, teaches
    nothing. example: a batch that shows which batch norm follows which convolution.
    """
    if settings.precision != "float32":
        raise ValueError(f"quantization-aware training runs in float32, not in {settings.precision}")
    network = copy.deepcopy(model)
    plain.bake(network)
    network, _ = folding.fold(network, example)
    fake_quant.attach(network, weight_bits, int(_FOLLOWING * _steps(task, settings, context)))
    curves = loop.fit(network, objective, task, settings, context=context, name="qat")
    fake_quant.detach(network)
    return modes.in_eval(network), curves


def _steps(task: Task, settings: TrainingFields, context: Context) -> int:
    if context.smoke:
        return loop.SMOKE_BATCHES
    return settings.epochs * (task.size("train") // settings.batch_size)
