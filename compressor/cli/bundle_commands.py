"""What `compress verify`, `compress evaluate` and `compress export` do and print."""

from __future__ import annotations

import os
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.cli.console import say
from compressor.errors import InputError, IntegrityError, ResourceError, unspelled
from compressor.models.answer_kinds import ANSWERS, NAMES
from compressor.printable import in_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compressor.pipeline.file.spec import Pipeline
    from compressor.problem.task import Task

Limits = tuple[int, int] | None
"""Seconds that a graph may take for one answer, and MB of memory."""
LANGUAGES = ("python",)
AT_ONCE = 64  # samples of a batch
SIDES = ("exact", "shortest", "longest", "to")
GEOMETRIC = ("resize", "pad", "center_crop")
BYTES_A_PIXEL, BYTES_READ = 12, 3  # three float numbers in a batch, three bytes before


def verify(bundle: Path, limits: Limits = None) -> None:
    """Print a line for each check of a bundle.

    Raises:
        InputError: there is no bundle. IntegrityError: the first thing that is not what was written.
    """
    from compressor.bundle import bundle as bundles
    from compressor.bundle.verify import verify_read as checks_of

    _check_spelling(bundle)
    found = bundles.read(bundle)
    checks = checks_of(found, limits=limits)
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{check.name:<{width}}  {check.found}")
    say(f"{bundle} is what was written{', and computes what it computed' if found.manifest.samples else ''}")


def evaluate(model: Path, task: Path, *, as_json: bool = False, limits: Limits = None) -> None:
    """Print quality and latency of a bundle or an ONNX file on a pipeline's data.

    Raises:
        InputError: the file does not fit the task. IntegrityError: the bundle was altered.
    """
    found = evaluate_file(model, task, limits)
    if as_json:
        print(in_json(found, indent=1))
        return
    for line in described(found):
        say(line)


def evaluate_file(path: Path, pipeline_file: Path, limits: Limits = None) -> dict[str, Any]:
    """Evaluate a bundle's folder or an ONNX file in onnxruntime; the answer is JSON in report.json's words.

    A bundle is fed through its own preprocessing, a foreign file through the pipeline's. Loads torch.

    Raises:
        InputError: the file is no model for this task, or the pipeline's data is not there or not what it takes.
        IntegrityError: the bundle was altered.
    """
    from compressor.bundle import bundle as bundles
    from compressor.pipeline.file import spec
    from compressor.pipeline.plan.prepare import located
    from compressor.stages import model_file
    from compressor.unfinished import sweep_folders

    sweep_folders()
    _check_spelling(path)
    pipeline = spec.load(pipeline_file)
    bundle = None
    if path.is_dir():
        bundle = bundles.read(path)
        bundles.check_files(bundle)
    elif not path.is_file():
        raise InputError(str(path), "no such file or folder", "name a bundle's folder or an ONNX file")
    model = bundle.model if bundle else path
    benchmark = next((one for one in pipeline.steps.values() if one.stage == "benchmark"), None)
    try:
        if bundle:
            _check_sides(str(path), bundle.manifest.preprocess, limits)
        task = _task(pipeline, [dict(step) for step in bundle.manifest.preprocess] if bundle else None)
        if bundle:
            _check_answers(str(path), bundle.manifest.answers, task.facts.labels)
            _check_depth(str(path), task.facts.preprocess, bundle.manifest.preprocess)
        found = model_file.evaluate(model, task, benchmark, limits=limits, is_bundle=bundle is not None)
    except InputError as error:
        if bundle:
            _of_bundle(error, path)
        if error.where not in (str(path), str(model)):
            located(error, pipeline)
        raise
    about = {"type": task.facts.name, "metric": next(iter(task.metrics)), "data": pipeline.task.data_name}
    return {"file": path.name, "task": about, **found}


def _check_spelling(path: Path) -> None:
    """onnxruntime is given a path as text in UTF-8."""
    if wrong := unspelled(str(path)):
        raise wrong


def _check_sides(where: str, steps: Sequence[Mapping[str, Any]], limits: Limits) -> None:
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
    from compressor.tasks import make

    settings, declared = pipeline.task, preprocess
    if preprocess is not None:
        settings = settings.model_copy(update={"preprocess": None})
    elif (named := declaring(pipeline)) is not None:
        declared = catalogue.declared_preprocess(named.ref, named.weights)
    return make(settings, base=pipeline.base, seed=pipeline.seed, declared=declared)


def described(found: dict[str, Any]) -> list[str]:
    """An evaluation in lines for people."""
    size = f"{found['size_bytes'] / 1e6:.3f} MB"
    precision = found["precision"] or "precision unknown"
    lines = [f"{found['file']}: {precision}, {size}, on {found['task']['data']}, in onnxruntime"]
    lines += [
        found["macs_unknown"] or f"{found['params']:,} parameters, {found['macs']:,} multiply-accumulates a sample"
    ]
    if found["precision_unknown"]:
        lines.append(found["precision_unknown"])
    if found["unknown_operators"]:
        named = ", ".join(found["unknown_operators"])
        lines.append(f"nobody here can say whether {named} computes in integers or in float")
    if (ends := found["final_activation"]) is not None:
        lines.append(f"it ends in a {NAMES[ends]}: its answers are the {ANSWERS[ends]}")
    groups = {"all test samples": found["quality"], "samples no choice was made on": found["quality_unseen"] or {}}
    for where, group in groups.items():
        for metric, one in group.items():
            interval = "" if one["low"] is None else f" (95 %: {one['low']:.4f} to {one['high']:.4f})"
            lines.append(f"{metric} {one['value']:.4f}{interval}, {where}, {one['n']:,}")
    for row in found["latency"]:
        interval = "" if row["low_ms"] is None else f" (95 %: {row['low_ms']:.3f} to {row['high_ms']:.3f})"
        threads = f"{row['threads']} thread{'' if row['threads'] == 1 else 's'}"
        lines.append(f"p50 {row['p50_ms']:.3f} ms{interval}, {threads}, batch {row['batch']}")
    lines.append(f"measured on {found['machine']['cpu']}, {found['machine']['isa']}; your device differs")
    return lines


def export(bundle: Path, language: str, to: Path, limits: Limits = None) -> None:
    """Make `to` a copy of a bundle with the language's runner in it; an older copy there is replaced.

    Raises:
        InputError: no such language, or a folder that holds something else. IntegrityError: the bundle was altered.
        ResourceError: the folder cannot be written.
    """
    from compressor.bundle.bundle import CARD
    from compressor.bundle.copies import equip
    from compressor.bundle.verify import verify as checks_of
    from compressor.device.manifest import MODEL, SAMPLES

    if language not in LANGUAGES:
        raise InputError("--to", f'no runner for "{language}"', f"there is one for {', '.join(LANGUAGES)}")
    _check_spelling(bundle)
    checks_of(bundle, limits=limits)
    source, target = bundle.resolve(), to.resolve()
    if source == target or source in target.parents:
        raise InputError("--to", f"{to} is the bundle itself or lies in it", "name another folder")
    beside, aside = (target.with_name(f".{target.name}.{name}") for name in ("new", "old"))
    for left in (beside, aside):  # of an export that was killed
        _check_own(left, _held(left), (MODEL, CARD, SAMPLES))
    try:
        if aside.is_dir() and not target.exists():
            aside.rename(target)  # where a kill came between the two below
        _check_replaceable(target)
        shutil.rmtree(beside, ignore_errors=True)
        made = equip(source, beside)
        shutil.rmtree(aside, ignore_errors=True)
        if target.is_dir():
            target.rename(aside)
        beside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if aside.is_dir() and not target.exists():
            aside.rename(target)
        what = f"cannot be written ({error.strerror})"
        raise ResourceError(str(to), what, "free space or name another folder") from error
    what = "--check" if made.manifest.samples else "PICTURE"
    say(f"{to}: {made.manifest.name or 'the bundle'} with run.py and runner/; try `python {to / 'run.py'} {what}`")


def _check_replaceable(target: Path) -> None:
    """See that `target` is empty, missing, or an older copy.

    Raises:
        InputError: it holds something that is no part of a bundle.
    """
    from compressor.bundle.bundle import read
    from compressor.device.manifest import MANIFEST

    held = _held(target)
    if held and MANIFEST not in held:
        raise InputError("--to", f"{target} holds {held[0]} and is no bundle", "name an empty or a new folder")
    if held:
        _check_own(target, held, read(target).manifest.files)


def _held(folder: Path) -> list[str]:
    """The names of what lies in a folder; of its `runner/`, what lies in there."""
    from compressor.device.manifest import PACKAGE, kind_of

    if folder.exists() and not folder.is_dir():
        raise InputError("--to", f"{folder} is a file", "name a folder")
    if not folder.is_dir():
        return []
    runner = folder / PACKAGE
    inside = [f"{PACKAGE}/{name}" for name in os.listdir(runner)] if kind_of(runner) == "a folder" else [PACKAGE]
    names = [[name] if name != PACKAGE else inside for name in os.listdir(folder)]
    return sorted(name for some in names for name in some)


def _check_own(folder: Path, held: Sequence[str], files: Iterable[str]) -> None:
    """InputError where a folder that would be removed holds more than a bundle's files, its list and the runner."""
    from compressor.bundle.copies import runner_files
    from compressor.device.manifest import MANIFEST, PACKAGE

    own = {MANIFEST, f"{PACKAGE}/__pycache__", *runner_files(), *files}
    foreign = [name for name in held if name not in own]
    if foreign:
        raise InputError("--to", f"{folder} holds {foreign[0]}, which is no part of its bundle", "move it elsewhere")
