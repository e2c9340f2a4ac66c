"""Quality and latency of one ONNX file, a bundle's or a foreign one, on the samples of a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor import machine, unfinished
from compressor.bundle.bundle import translated
from compressor.device.child import apart
from compressor.device.graphs import check_graph
from compressor.device.limits import Limits
from compressor.device.manifest import file_digest
from compressor.device.refused import Refused
from compressor.errors import CompressError, InputError, IntegrityError, StepError
from compressor.evaluation import quality
from compressor.evaluation.evaluation import Predictions
from compressor.problem.batch import Arrays, Tensors, joined, only
from compressor.problem.task import LABEL_SAMPLES

if TYPE_CHECKING:
    import numpy as np
    import onnx

    from compressor.onnx_graph.finish import Port
    from compressor.problem.task import Form, Split, Task

BATCH = 64
SAMPLES = 8
"""Samples that are answered alone, in another order and in other company."""
QUICK = {"threads": (1,), "batch_sizes": (1,), "processes": 6, "rounds": 18, "min_seconds": 0.5}
"""How latency is measured where no step says it."""


def evaluate(
    model: Path, task: Task, benchmark: Any, *, limits: tuple[int, int] | None = None, is_bundle: bool = False
) -> dict[str, Any]:
    """Quality, operators and latency of an ONNX file in onnxruntime, as JSON in report.json's words. Loads torch.

    Size and digest are those of the file and, behind it, of the files that hold its weights, in the order of their
    names. The file is run in a process of its own. benchmark: spec of the step that says how latency is measured, or
    None. limits: the seconds and the MB of memory that the file may take for a batch. is_bundle: the file is a
    bundle's, so that what it does wrong is a matter of integrity.

    Raises:
        InputError: the file is no model for this task. IntegrityError: the same, of a bundle's file.
    """
    wrong = IntegrityError if is_bundle else InputError
    graph = _graph(model)
    _check_size(model, graph)
    form = feeding(str(model), *_ports(model, graph), task)
    files = [model, *_weights(model, graph)]
    channels, *size = task.signature.inputs[0].shape
    sample = (*size, channels) if form == "pixels_nhwc" else (channels, *size)
    with translated(), apart("compressor.onnx_graph.inside", model, int(wrong.exit_code), limits) as child:
        opened = child.ask({"do": "open", "path": str(model), "threads": machine.default_threads(),
                            "code": int(wrong.exit_code)})[0]  # fmt: skip
        _check_neighbours(model, child, form, task, wrong)
        quality = _quality(model, child, form, task, graph)
    counted = _counted(model, sample, wrong, limits)
    digest = file_digest(*files)
    return {
        "model_sha256": digest,
        "size_bytes": sum(file.stat().st_size for file in files),
        **quality,
        **counted,
        **_latency(model, sample, digest, benchmark, opened["batch"], limits, wrong),
    }


def feeding(where: str, source: Port, result: Port, task: Task) -> Form:
    """How the task's samples go into the file.

    Raises:
        InputError: it takes something else, or does not give one number an answer.
    """
    (channels, height, width), count = task.signature.inputs[0].shape, len(task.facts.labels)
    takes: dict[tuple[str, tuple[int, ...]], Form] = {
        ("float32", (channels, height, width)): "network",
        ("uint8", (channels, height, width)): "pixels_nchw",
        ("uint8", (height, width, channels)): "pixels_nhwc",
    }
    found = next((form for (dtype, shape), form in takes.items() if _matches(source, dtype, shape)), None)
    if found is None:
        what = f"its input {source.name} is {source.dtype} {list(source.shape)}"
        wanted = f"float32 [n, {channels}, {height}, {width}], or uint8 pixels of that size"
        raise InputError(where, what, f"give a model that takes {wanted}")
    if not _matches(result, result.dtype, (count,)):
        what = f"its output {result.name} is {list(result.shape)}, and the task has {count} answers"
        raise InputError(where, what, f"give a model whose output is [n, {count}]")
    return found


def _matches(port: Port, dtype: str, sample: Sequence[int]) -> bool:
    """Whether a port takes batches of such samples; open sizes take any."""
    sizes = port.shape[1:]
    fits = len(sizes) == len(sample) and all(isinstance(a, str) or a == b for a, b in zip(sizes, sample, strict=True))
    return port.dtype == dtype and fits


def _graph(model: Path) -> onnx.GraphProto:
    """The file's graph, without the weights that lie in other files."""
    import onnx

    try:
        check_graph(model, external=True)
    except ValueError as error:
        raise InputError(str(model), str(error), "name a bundle or another ONNX file") from None
    try:
        return onnx.load(str(model), load_external_data=False).graph
    except Exception as error:  # protobuf's decoder has its own exceptions, by implementation
        what = f"is no ONNX file ({type(error).__name__})"
        raise InputError(str(model), what, "name a bundle or an ONNX file") from None


def _check_size(model: Path, graph: onnx.GraphProto) -> None:
    """Refuse a model whose weights no single file holds: nothing here could copy, quantize or ship it.

    Raises:
        InputError: says how large they are.
    """
    from compressor.models.size import LARGEST_FILE
    from compressor.onnx_graph.finish import weight_bytes

    held = min(weight_bytes(graph), 10**15)  # a file can claim more than any float holds
    if held > LARGEST_FILE:
        what = f"its weights take {held / 1e9:.2f} GB, and one ONNX file holds {LARGEST_FILE / 1e9:.2f} GB"
        raise InputError(str(model), what, "use a smaller model")


def _weights(model: Path, graph: onnx.GraphProto) -> list[Path]:
    """The other files that hold the file's weights; torch's exporter writes one beside it."""
    from compressor.models.size import LARGEST_FILE
    from compressor.onnx_graph.finish import external_files

    files = [model.parent / name for name in external_files(graph)]
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        what = f"its weights are in {missing}, and there is no such file"
        raise InputError(str(model), what, "put it there, or save the model as one file")
    for file in files:
        if (held := file.stat().st_size) > LARGEST_FILE:
            what = f"its weights are in {file}, which has {held:,} bytes; more than {LARGEST_FILE:,} are not read"
            raise InputError(str(model), what, "use a smaller model")
    return files


def _ports(model: Path, graph: onnx.GraphProto) -> tuple[Port, Port]:
    from onnx import helper

    from compressor.onnx_graph import links
    from compressor.onnx_graph.finish import port

    inputs = links.fed(graph)
    if len(inputs) != 1 or not graph.output:
        what = f"has {len(inputs)} inputs and {len(graph.output)} outputs"
        raise InputError(str(model), what, "give a model with one input and one output")
    for value in (inputs[0], graph.output[0]):
        kind = value.type.tensor_type.elem_type
        if kind not in helper.get_all_tensor_dtypes():
            what = f"its {value.name} is no tensor of a type that is known"
            raise InputError(str(model), what, "give a model with one tensor as input and one as output")
    return port(inputs[0]), port(graph.output[0])


def _check_neighbours(model: Path, child: Any, form: Form, task: Task, wrong: type[CompressError]) -> None:
    """`wrong` where the file's answer to a sample depends on the samples beside it; names the cause."""
    from compressor.onnx_graph import neighbours
    from compressor.training import samples

    few = only(samples.of_file(task, SAMPLES, form))
    pace = child.ask({"do": "pace"}, few[:2])[0]["seconds"]
    if found := child.ask({"do": "neighbours"}, few, neighbours.ANSWERS * pace)[0]["found"]:
        raise wrong(str(model), *found)


def _quality(model: Path, child: Any, form: Form, task: Task, graph: onnx.GraphProto) -> dict[str, Any]:
    """`quality` over the test set, `quality_unseen` where choices were made on some of it, and `final_activation`: what
    the answers come out of, null for raw scores."""
    import numpy as np

    from compressor.onnx_graph import final_activation

    found, targets = _answered(child, form, task, "test", None)
    outputs = only(found)
    if outputs.ndim != 2 or outputs.shape[1] != len(task.facts.labels):
        what = f"its output is {list(outputs.shape[1:])} a sample, and the task has {len(task.facts.labels)} answers"
        raise InputError(str(model), what, "give a model made for this task")
    if outputs.dtype.kind not in "fiu":
        what = f"its output is of the type {outputs.dtype}"
        raise InputError(str(model), what, "give a model that answers with numbers")
    if wrong := int(np.isnan(outputs).any(1).sum()):
        what = f"it answers {wrong:,} of {len(outputs):,} test samples with values that are not numbers"
        raise InputError(str(model), what, "check its weights, and that it is made for inputs prepared in this way")
    task.check_labels(str(model), *_answered(child, form, task, "validation", LABEL_SAMPLES))
    unseen = np.ones(len(outputs), bool) if task.facts.unseen is None else task.facts.unseen
    held = Predictions({"test_outputs": outputs, "test_targets": only(targets), "unseen": unseen})
    return {"final_activation": final_activation.find(graph, outputs), **quality.tables(task.metrics, held)}


def _counted(
    model: Path, sample: Sequence[int], wrong: type[CompressError], limits: tuple[int, int] | None
) -> dict[str, Any]:
    """Operators, precision and cost, found in a process of their own: a file that runs is evaluated without them."""
    from compressor.onnx_graph import cost, operators

    code = int(wrong.exit_code)
    with translated():
        try:
            with apart("compressor.onnx_graph.inside", model, code, limits) as child:
                told: dict[str, Any] = child.ask({"do": "count", "path": str(model), "sample": sample})[0]
                return told
        except Refused as refused:
            if refused.code != code:
                raise
            why = f"what counts them {refused.problem}"
    return operators.unknown(f"its operators are not known: {why}") | cost.unknown(
        f"its multiplications are not known: {why}"
    )


def _answered(child: Any, form: Form, task: Task, split: Split, limit: int | None) -> tuple[Arrays, Arrays]:
    """Outputs and targets of a split's samples, or of `limit` of them, of every class its share."""
    import numpy as np

    targets: list[Tensors] = []
    outputs: list[np.ndarray] = []
    for batch in task.batches(split, BATCH, form=form, limit=limit):
        targets.append(batch.targets)
        outputs.append(child.ask({"do": "run"}, only(batch.inputs).numpy())[1])
    none = np.zeros((0, len(task.facts.labels)), np.float32)
    name = task.signature.outputs[0].name
    return {name: np.concatenate(outputs) if outputs else none}, joined(targets) or {"": np.zeros(0, np.int64)}


def _latency(
    model: Path,
    sample: Sequence[int],
    digest: str,
    step: Any,
    batch: int | None,
    limits: tuple[int, int] | None,
    wrong: type[CompressError],
) -> dict[str, Any]:
    """`latency` on inputs of the shape `sample`, and `machine`. batch: the only size that the file takes, if any."""
    from compressor.latency import experiment

    asked: dict[str, Any] = {name: getattr(step, name, usual) for name, usual in QUICK.items()}
    if batch is not None:
        asked["batch_sizes"] = (batch,)
    watch = Limits(*limits) if limits else Limits()
    with unfinished.folder() as folder:
        timed = _sized(model, sample, folder)
        try:
            models = [experiment.Model(digest, timed, model.name)]
            measured = experiment.measure(models, experiment.Settings(**asked), limits=watch)
        except StepError as error:
            raise wrong(str(model), error.what, error.todo) from None
    return {"latency": measured.latency["rows"][digest], "machine": measured.latency["machine"]}


def _sized(model: Path, sample: Sequence[int], folder: Path) -> Path:
    """The file, or a copy in `folder` that takes this size only, where its input leaves more than the batch open."""
    import onnx

    from compressor.onnx_graph import links
    from compressor.onnx_graph.finish import external_files

    graph = _graph(model)
    if all(dim.HasField("dim_value") for dim in links.fed(graph)[0].type.tensor_type.shape.dim[1:]):
        return model
    whole = onnx.load(str(model))
    for dim, size in zip(links.fed(whole.graph)[0].type.tensor_type.shape.dim[1:], sample, strict=True):
        dim.dim_value = size
    onnx.save(whole, folder / "sized.onnx", save_as_external_data=bool(external_files(graph)))
    return folder / "sized.onnx"
