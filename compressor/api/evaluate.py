"""Quality and latency of a bundle or an ONNX file on a pipeline's data."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from compressor.errors import InputError, IntegrityError, unspelled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from compressor.models.answer_kinds import Kind
    from compressor.pipeline.file.spec import Pipeline
    from compressor.problem.task import Task

AT_ONCE = 64  # samples of a batch
SIDES = ("exact", "shortest", "longest", "to")
GEOMETRIC = ("resize", "pad", "center_crop")
BYTES_A_PIXEL, BYTES_READ = 12, 3  # three float numbers in a batch, three bytes before


class Evaluated(TypedDict):
    """One model on the test set, as JSON in report.json's words; None where something is not known.

    task: type, metric and data. size_bytes: of the file and of those that hold its weights, whose digest is
    model_sha256. operators: how often onnxruntime runs each. macs_unknown, precision_unknown: why that is not known.
    quality, quality_unseen: metric to value, low, high and n. latency: a row for each number of threads and each batch
    size, in milliseconds. machine: what it was measured on.
    """

    file: str
    task: dict[str, str]
    model_sha256: str
    size_bytes: int
    quality: dict[str, dict[str, Any]]
    quality_unseen: dict[str, dict[str, Any]] | None
    final_activation: Kind | None
    precision: str | None
    precision_unknown: str | None
    operators: dict[str, int] | None
    unknown_operators: list[str]
    params: int | None
    macs: int | None
    macs_unknown: str | None
    latency: list[dict[str, Any]]
    machine: dict[str, Any]


def evaluate(model: str | Path, task: str | Path, *, limits: tuple[int, int] | None = None) -> Evaluated:
    """Evaluate a bundle's folder or an ONNX file in onnxruntime on the data of a pipeline file's task.

    A bundle is fed through its own preprocessing, a foreign file through the pipeline's. Loads torch. limits: seconds
    that the graph may take for one answer, and MB of memory; 120 and 4096 where left out.

    Raises:
        InputError: the file is no model for this task, or the pipeline's data is not there or not what it takes.
        IntegrityError: the bundle was altered.
    """
    from compressor.bundle import bundle as bundles
    from compressor.evaluation import model_file
    from compressor.pipeline.file import spec
    from compressor.pipeline.plan.prepare import located
    from compressor.unfinished import sweep_folders

    sweep_folders()
    path = Path(model)
    if wrong := unspelled(str(path)):
        raise wrong
    pipeline = spec.load(Path(task))
    bundle = None
    if path.is_dir():
        bundle = bundles.read(path)
        bundles.check_files(bundle)
    elif not path.is_file():
        raise InputError(str(path), "no such file or folder", "name a bundle's folder or an ONNX file")
    file = bundle.model if bundle else path
    benchmark = next((one for one in pipeline.steps.values() if one.stage == "benchmark"), None)
    try:
        if bundle:
            _check_sides(str(path), bundle.manifest.preprocess, limits)
        made = _task(pipeline, [dict(step) for step in bundle.manifest.preprocess] if bundle else None)
        if bundle:
            _check_answers(str(path), bundle.manifest.answers, made.facts.labels)
            _check_depth(str(path), made.facts.preprocess, bundle.manifest.preprocess)
        found = model_file.evaluate(file, made, benchmark, limits=limits, is_bundle=bundle is not None)
    except InputError as error:
        if bundle:
            _of_bundle(error, path)
        if error.where not in (str(path), str(file)):
            located(error, pipeline)
        raise
    about = {"type": made.facts.name, "metric": next(iter(made.metrics)), "data": pipeline.task.data_name}
    return cast(Evaluated, {"file": path.name, "task": about, **found})


def _check_sides(where: str, steps: Sequence[Mapping[str, Any]], limits: tuple[int, int] | None) -> None:
    """Refuse a bundle's list that makes pictures of which a batch has no room: they are prepared in this process.

    Raises:
        IntegrityError: names the step.
    """
    from compressor.device.limits import Limits

    memory_mb = limits[1] if limits else Limits().memory_mb
    sizes = [(next(iter(item)), _sides(item)) for item in steps if next(iter(item)) in GEOMETRIC]
    for place, (name, (height, width)) in enumerate(sizes):
        last = place == len(sizes) - 1  # the others are made of one picture after the other
        count, bytes_each = (AT_ONCE, BYTES_A_PIXEL) if last else (1, BYTES_READ)
        if count * height * width * bytes_each // 10**6 > memory_mb:
            made = f"{f'{count} pictures' if last else 'a picture'} of {height:,} x {width:,} pixels ({name})"
            what = f"its preprocessing makes {made}{' at once' if last else ''}, more than {memory_mb:,} MB of memory"
            raise IntegrityError(where, what, "allow more with --max-memory-mb if you trust it")


def _sides(item: Mapping[str, Any]) -> tuple[int, int]:
    """The size that a geometric step asks for, at least."""
    ((name, value),) = item.items()
    named = value if name == "center_crop" else next(size for key, size in value.items() if key in SIDES)
    return (named, named) if isinstance(named, int) else (named[0], named[1])


def _check_depth(where: str, asked: Sequence[Mapping[str, Any]], known: Sequence[Mapping[str, Any]]) -> None:
    """Refuse pictures of fewer than 16 bits in 16, of which the bundle's list does not tell."""
    bits = next((item["bits"] for item in asked if "bits" in item), 16)
    if bits != next((item["bits"] for item in known if "bits" in item), 16):
        what = f"the pictures use {bits} bits of 16, and its preprocessing does not say so"
        raise InputError(where, what, "evaluate it on pictures like those that it was made for")


def _check_answers(where: str, known: Sequence[str], asked: Sequence[str]) -> None:
    """Refuse a bundle that means other things by its outputs than the task does.

    Raises:
        InputError: names the first answer that differs.
    """
    pairs = enumerate(zip_longest(known, asked), start=1)
    place, (own, other) = next(((place, pair) for place, pair in pairs if pair[0] != pair[1]), (0, (None, None)))
    if known and place:
        shown = ["missing" if name is None else f'"{name}"' for name in (own, other)]
        what = f"its answer {place} is {shown[0]}, and the task's is {shown[1]}"
        raise InputError(
            where, what, "evaluate it on data with its classes in its order (classes in the data's settings)"
        )


def _of_bundle(error: InputError, bundle: Path) -> None:
    """Let what is wrong with the preprocessing name the bundle, whose list holds whatever the file says."""
    for one in (error, *error.others):
        if one.where == "task.preprocess":
            one.where = f"{bundle}: preprocess"
        elif "task.preprocess" not in one.todo:
            continue
        one.todo = "the bundle prepares pictures by its own list; evaluate it on pictures that this list takes"


def _task(pipeline: Pipeline, preprocess: list[dict[str, Any]] | None) -> Task:
    """The pipeline's task, with a bundle's preprocessing in place of the file's where one is given."""
    from compressor.models import catalogue
    from compressor.pipeline.plan.prepare import declaring

    settings, declared = pipeline.task, preprocess
    if preprocess is not None:
        settings = settings.model_copy(update={"preprocess": None})
    elif (named := declaring(pipeline)) is not None:
        declared = catalogue.declared_preprocess(named)
    return settings.make(pipeline.base, declared=declared)
