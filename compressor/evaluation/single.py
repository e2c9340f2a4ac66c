"""Whether a graph made here answers each sample by itself: in a session, and by the runner that goes with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.device.memory import short_of_memory
from compressor.device.refused import Refused
from compressor.errors import StepError
from compressor.problem.task import Form, Task

if TYPE_CHECKING:
    import numpy as np

SAMPLES = 8
ALONE = 3
TODO = "let the network compute within each sample, over axes from 1 on, and train it again"


def samples(task: Task, form: Form = "network") -> np.ndarray:
    """The samples that the checks below answer, as the file takes them. Loads torch."""
    from compressor.problem.batch import only
    from compressor.training import samples as few

    found: np.ndarray = only(few.of_file(task, SAMPLES, form))
    return found


def check(graph: Path, inputs: np.ndarray) -> None:
    """Answer samples [n, …] alone, in another order, in other company and twice.

    Raises:
        StepError: the answers differ by more than rounding; names the node that mixes the samples.
    """
    from compressor.onnx_graph import clean, neighbours, session

    try:
        found = neighbours.find(graph, session.make_session(graph, 1), inputs)
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        if short_of_memory(error):
            raise
        what = f"the onnxruntime here cannot run the graph ({clean.first_line(error)})"
        raise StepError("", what, "lower ir_version or onnx.opset, or update onnxruntime") from error
    if found is not None:
        raise StepError("", f"the graph does not answer each sample by itself: {found[0]}", TODO)


def check_runner(graph: Path, model: Any, inputs: np.ndarray) -> None:
    """Let the runner's `Model` answer some of the samples [n, …] one by one, and compare with all of them together.

    Raises:
        StepError: it fails, or answers otherwise by more than rounding.
    """
    from compressor.onnx_graph.neighbours import Noise, distance_of

    outputs = model.outputs(inputs)
    noise = Noise(graph, inputs, outputs)
    for place in range(min(ALONE, len(inputs))):
        try:
            alone = model.outputs(inputs[place : place + 1])
        except Refused as refused:
            raise StepError("", f"the runner fails with one sample: {refused.problem}", TODO) from refused
        same = alone.shape == outputs[place : place + 1].shape
        distance = distance_of(alone[0], outputs[place]) if same else float("inf")
        if not noise.explains(distance):
            how = f"otherwise (by {distance:.3g})" if same else f"in another shape, {list(alone.shape)}"
            raise StepError("", f"the runner answers one sample alone {how} than among {len(inputs)}", TODO)
