"""Quality and latency of one file, a bundle's or a foreign one, on the data of a pipeline's task."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from compressor.onnx_graph.finish import Port
    from compressor.pipeline.spec import Pipeline
    from compressor.tasks.base import Task

BATCH = 64
QUICK = {"threads": (1,), "batch_sizes": (1,), "rounds": 20, "min_seconds": 0.5}
"""How latency is measured where the pipeline has no benchmark step."""


@dataclass(frozen=True)
class Layout:
    """How a file takes samples: pixels or the network's input, and whether channels come first."""

    pixels: bool
    channels_first: bool


def evaluate_file(path: Path, pipeline_file: Path) -> dict[str, Any]:
    """Evaluate a bundle's folder or an ONNX file in onnxruntime; the answer is JSON in report.json's words.

    A bundle is fed through its own preprocessing, a foreign file through the pipeline's. Loads torch.

    Raises:
        InputError: the file is no model for this task, or the pipeline's data is not there.
        IntegrityError: the bundle was altered.
    """
    from compressor.bundle import bundle as bundles
    from compressor.pipeline import spec

    pipeline = spec.load(pipeline_file)
    if path.is_dir():
        bundle = bundles.read(path)
        bundles.check_files(bundle)
        task = _task(pipeline, [dict(step) for step in bundle.manifest.preprocess])
        model = bundle.model
    elif path.is_file():
        task, model = _task(pipeline, None), path
    else:
        raise InputError(str(path), "no such file or folder", "name a bundle's folder or an ONNX file")
    source, result = _ports(model)
    layout = feeding(str(path), source, result, task)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return {
        "file": path.name,
        "model_sha256": digest,
        "size_bytes": model.stat().st_size,
        "task": {"type": task.name, "metric": task.metric, "data": pipeline.task.data_name},
        **_quality(model, layout, task),
        **_latency(model, digest, pipeline),
    }


def feeding(where: str, source: Port, result: Port, task: Task) -> Layout:
    """How the task's samples go into the file.

    Raises:
        InputError: it takes something else, or does not give one number an answer.
    """
    (channels, height, width), count = task.signature.inputs[0].shape, len(task.answers)
    takes = {
        ("float32", (channels, height, width)): Layout(False, True),
        ("uint8", (channels, height, width)): Layout(True, True),
        ("uint8", (height, width, channels)): Layout(True, False),
    }
    found = next((layout for (dtype, shape), layout in takes.items() if _matches(source, dtype, shape)), None)
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


def _task(pipeline: Pipeline, preprocess: list[dict[str, Any]] | None) -> Task:
    """The pipeline's task, with a bundle's preprocessing in place of the file's where one is given."""
    from compressor.models import catalogue
    from compressor.pipeline.prepare import declaring_step
    from compressor.tasks import make

    settings, declared = pipeline.task, preprocess
    if preprocess is not None:
        settings = settings.model_copy(update={"preprocess": None})
    elif (step := declaring_step(pipeline)) is not None:
        chosen: Any = pipeline.steps[step]
        declared = catalogue.declared_preprocess(chosen.model, chosen.weights)
    return make(settings, base=pipeline.base, seed=pipeline.seed, declared=declared)


def _ports(model: Path) -> tuple[Port, Port]:
    import onnx

    from compressor.onnx_graph.finish import port

    try:
        graph = onnx.load(str(model), load_external_data=False).graph
    except Exception as error:  # protobuf's decoder has its own exceptions, by implementation
        what = f"is no ONNX file ({type(error).__name__})"
        raise InputError(str(model), what, "name a bundle or an ONNX file") from None
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    if len(inputs) != 1 or not graph.output:
        what = f"has {len(inputs)} inputs and {len(graph.output)} outputs"
        raise InputError(str(model), what, "give a model with one input and one output")
    return port(inputs[0]), port(graph.output[0])


def _quality(model: Path, layout: Layout, task: Task) -> dict[str, Any]:
    """`quality` over the test set, `quality_unseen` where choices were made on some of it, operators and precision."""
    import numpy as np

    from compressor.latency import machine
    from compressor.onnx_graph import operators, session

    targets: list[np.ndarray] = []

    def feed() -> Iterator[np.ndarray]:
        for batch in task.batches("test", BATCH, pixels=layout.pixels):
            targets.append(batch.targets.numpy())
            values = batch.inputs.numpy()
            yield values.transpose(0, 3, 1, 2) if layout.pixels and layout.channels_first else values

    try:
        outputs = session.predict(model, feed(), machine.default_threads())
    except Exception as error:  # onnxruntime has a dozen exception types without a common one
        reason = str(error).strip().splitlines()[0][:200]
        raise InputError(str(model), f"onnxruntime cannot run it ({reason})", "check the file") from None
    if outputs.ndim != 2 or outputs.shape[1] != len(task.answers):
        what = f"its output is {list(outputs.shape[1:])} a sample, and the task has {len(task.answers)} answers"
        raise InputError(str(model), what, "give a model made for this task")
    scores = task.score(outputs, np.concatenate(targets))
    unseen = task.unseen()
    partly = unseen is not None and not unseen.all() and unseen.any()
    return {
        "quality": intervals(scores),
        "quality_unseen": intervals({name: values[unseen] for name, values in scores.items()}) if partly else None,
        **operators.count(model),
    }


def intervals(scores: Mapping[str, np.ndarray]) -> dict[str, dict[str, float | int | None]]:
    """Metric -> {value, low, high, n} from each sample's score: Wilson's interval for shares, else a bootstrap."""
    from compressor.report import statistics
    from compressor.report.evidence import is_share

    found: dict[str, dict[str, float | int | None]] = {}
    for name, values in scores.items():
        n = len(values)
        interval = statistics.wilson(int(values.sum()), n) if is_share(values) else statistics.bootstrap_mean(values)
        found[name] = {"value": float(interval.value), "low": interval.low, "high": interval.high, "n": n}
    return found


def _latency(model: Path, digest: str, pipeline: Pipeline) -> dict[str, Any]:
    """`latency` and `machine`, measured as the pipeline's first benchmark step says."""
    from compressor.latency import experiment
    from compressor.latency.session import fixed_batch, open_session

    step: Any = next((one for one in pipeline.steps.values() if one.stage == "benchmark"), None)
    asked = {name: getattr(step, name) for name in QUICK} if step is not None else dict(QUICK)
    only = fixed_batch(open_session(str(model), 1))
    if only is not None:
        asked["batch_sizes"] = (only,)
    measured = experiment.measure([experiment.Model(digest, model, model.name)], experiment.Settings(**asked))
    return {"latency": measured.latency["rows"][digest], "machine": measured.latency["machine"]}
