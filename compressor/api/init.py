"""A commented pipeline that plans, to start from, and the schema that editors check it with."""

from __future__ import annotations

import errno
import math
import os
import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from compressor.api.schema import schema
from compressor.errors import InputError, ResourceError, meant, unspelled
from compressor.models import names
from compressor.pipeline.file import budget as budgets
from compressor.pipeline.file import spec, yaml_file, yaml_nodes
from compressor.pipeline.file.document import Document, together
from compressor.pipeline.file.words import is_number, quote
from compressor.report.judgement.measures import MEASURES
from compressor.tasks import TASKS

SCHEMA_FILE = "pipeline.schema.json"
TASK = "image-classification"
SETS = ("digits", "fashion-mnist", "kmnist", "mnist", "usps", "cifar10", "cifar100", "svhn")
MIRRORED = frozenset({"cifar10", "cifar100"})
"""Sets whose pictures mean the same in a mirror."""
SMALL_TEACHER, SMALL_STUDENT, LARGE_TEACHER = "resnet20", "mlperf_resnet8", "timm:efficientnet_lite0"

_PLAIN = re.compile(r"^[\w./-]+$")
_NOT_IN_A_COMMENT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_GOAL = re.compile(r"^\s*(\w+?)(_drop)?\s*(>=|<=)\s*([-+.\deE]+)\s*$")


def init(
    out: Path,
    *,
    model: str | None = None,
    checkpoint: Path | None = None,
    data: str | None = None,
    goal: str | None = None,
) -> None:
    """Write a pipeline file, and its schema beside it.

    model: the teacher's network. checkpoint: its weights. data: a set's name or a folder. goal: limits, with commas.

    Raises:
        InputError: an option that no pipeline can hold, or a file that is there already.
        ResourceError: the folder cannot be written.
    """
    text = pipeline_text(out, model=model, checkpoint=checkpoint, data=data, goal=goal)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
        out.with_name(SCHEMA_FILE).write_text(schema("pipeline"), encoding="utf-8")
    except FileExistsError:
        raise InputError(str(out), "is there already", "give another name, or remove it first") from None
    except FileNotFoundError:
        raise InputError(str(out), "its folder does not exist", "make the folder first") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):  # it was made, and is half a file
            out.unlink(missing_ok=True)
        raise ResourceError(
            str(out), f"cannot be written ({error.strerror})", "choose a folder that you may write in"
        ) from None


def pipeline_text(
    out: Path,
    *,
    model: str | None = None,
    checkpoint: Path | None = None,
    data: str | None = None,
    goal: str | None = None,
) -> str:
    """The text of a pipeline that has no mistakes; paths in it start at the folder of `out`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    if _NOT_IN_A_COMMENT.search(str(out)):
        if isinstance(blamed := unspelled(str(out)), ResourceError):
            raise blamed
        raise InputError("FILE", f"{str(out)!a} has a character that no text can hold", "give another name")
    if checkpoint is not None and model is None:
        raise InputError("--checkpoint", "weights alone do not say which network they are for", "add --model NAME")
    known = _data(data or "digits", out)
    chosen = model or (LARGE_TEACHER if known["folder"] else SMALL_TEACHER)
    if wrong := names.mistake(chosen):
        raise InputError("--model", *wrong)
    if checkpoint is not None and not checkpoint.is_file():
        raise InputError("--checkpoint", f"there is no file {checkpoint}", "give the path of a file of weights")
    student = None if known["folder"] or model else SMALL_STUDENT
    environment = Environment(
        loader=PackageLoader("compressor.api"), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    text = environment.get_template("pipeline.yaml.jinja").render(
        file=shlex.quote(str(out)),
        name=_scalar(re.sub(r"[^a-z0-9]+", "-", out.stem.lower()).strip("-") or "pipeline"),
        model=_scalar(chosen),
        library=bool(names.reference(chosen).library),
        checkpoint=checkpoint and _scalar(_beside(checkpoint, out)),
        student=student,
        budget=_budget(goal),
        measures=", ".join([*TASKS[TASK].metrics, *MEASURES]),
        **known,
    )
    spec.parse(yaml_file.scan(text, out))
    return text


def _data(data: str, out: Path) -> dict[str, Any]:
    name = data.replace("_", "-")
    if name in SETS:
        return {"data": name, "folder": None, "flip": name in MIRRORED}
    if Path(data).is_dir():
        return {"data": None, "folder": _scalar(_beside(Path(data), out)), "flip": True}
    todo = meant(name, SETS, f"give a folder of pictures, or one of: {', '.join(SETS)}")
    raise InputError("--data", f"{quote(data)} is no set and no folder", todo)


def _budget(goal: str | None) -> dict[str, dict[str, str]]:
    metrics = TASKS[TASK].metrics
    decisive = next(iter(metrics))
    if goal is None:
        return {decisive: {"max_drop": "0.03"}, "size_mb": {"max": "25"}}
    found: dict[str, dict[str, str]] = {}
    for part in goal.split(","):
        match = _GOAL.match(part)
        if match is None or not is_number(match[4]):
            raise InputError(
                "--goal", f"{quote(part.strip())} is not a limit", "write it like accuracy>=0.9 or latency_p50_ms<=5"
            )
        measure, drop, sign, value = match.groups()
        if measure not in (*metrics, *MEASURES):
            known = [*metrics, *MEASURES]
            raise InputError(
                "--goal",
                f"there is no measure {quote(measure)}",
                meant(measure, known, f"measures are {', '.join(known)}"),
            )
        if drop and (measure not in metrics or sign == ">="):
            raise InputError(
                "--goal", f"{quote(part.strip())} is not a limit", f"write {decisive}_drop<=0.01 for a drop"
            )
        limits, bound = found.setdefault(measure, {}), "max_drop" if drop else "min" if sign == ">=" else "max"
        if bound in limits:
            raise InputError("--goal", f"limits {measure} twice in the same way ({quote(part.strip())})", "keep one")
        limits[bound] = value
    numbers = {measure: {bound: float(value) for bound, value in limits.items()} for measure, limits in found.items()}
    _, mistakes = budgets.parse(numbers, metrics, Document({}, {}, Path("--goal"), goal))
    if mistakes:
        raise together(mistakes)
    return found


def _beside(path: Path, out: Path) -> str:
    """A path as the file would write it: relative to the file's folder where it was given relative."""
    return str(path) if path.is_absolute() else os.path.relpath(path, out.parent)


def _scalar(text: str) -> str:
    """Text as YAML reads it back, quoted where it must be."""
    plain = _PLAIN.match(text) and yaml_nodes.value_of(text, text) == text
    return text if plain else yaml.safe_dump(text, default_style='"', width=math.inf).strip()
