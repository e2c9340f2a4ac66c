"""What the baseline knew and the shipped model does not: samples lost and won, and the worst of them as pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from compressor.evaluation.evaluation import Evaluation
from compressor.problem.context import Context
from compressor.stages.base import PartOf, SettledSpec, Stage
from compressor.store.artifact import Artifact

if TYPE_CHECKING:
    import numpy as np

    from compressor.problem.metric import Metric


WORST = 20
SMALLEST, LARGEST = 96, 192
"""Pixels of a picture's longer side in the report: smaller ones are enlarged in whole steps, larger ones reduced."""
LARGEST_FILE = 32_000
"""Bytes at most of such a picture."""


class CompareSpec(SettledSpec):
    """Put in by the plan; it has no settings."""

    stage: Literal["compare"] = "compare"


def run(spec: CompareSpec, inputs: Mapping[str, Artifact], context: Context) -> dict[str, Any]:
    """Write comparison.json: how many test samples are `lost` and `won`, and the `worst`, surest wrong answer first."""
    import numpy as np

    task = context.task
    before, after = (Evaluation.read(inputs[role].folder) for role in ("baseline", "shipped"))
    (name,) = (output.name for output in task.signature.outputs)
    lost, won = _changed(task.metrics.values(), before, after)
    answers = task.answers({name: after.predictions.outputs("test")[lost]}, after.final_activation)
    surest = np.argsort([-answer.sure for answer in answers], kind="stable")[:WORST]
    order = lost[surest]
    before_answers = task.answers({name: before.predictions.outputs("test")[order]})
    worst = []
    for number, (row, place) in enumerate(zip(order, surest, strict=True)):
        sample = int(after.predictions.indices[row])
        exhibit = task.show("test", sample)
        worst.append({
            "sample": sample,
            "picture": picture(exhibit.pixels),
            "target": exhibit.target,
            "baseline_answer": before_answers[number].text,
            "answer": answers[place].text,
            "confidence": answers[place].sure,
        })  # fmt: skip
        context.progress.advance(number + 1, len(order), "pictures")
    found = {"worst": worst, "lost": len(lost), "won": len(won)}
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    (context.folder / "comparison.json").write_text(text + "\n", encoding="utf-8")
    return {"lost": len(lost), "won": len(won)}


def _changed(metrics: Iterable[Metric], before: Evaluation, after: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Places of the test samples of which the second model makes less than the first, and of which it makes more, by
    the first metric that judges each sample."""
    import numpy as np

    for metric in metrics:
        was, now = before.predictions.each(metric), after.predictions.each(metric)
        if was is not None and now is not None:
            less, more = np.flatnonzero(now < was), np.flatnonzero(now > was)
            return (less, more) if metric.better == "higher" else (more, less)
    return np.zeros(0, int), np.zeros(0, int)


def picture(pixels: np.ndarray) -> str:
    """A data URI of uint8 pixels [height, width, channels] (1 or 3), 96 to 192 pixels on the longer side.

    A PNG, a JPEG where that takes more than 32 kB: a report holds 20 of them.
    """
    from PIL import Image

    from compressor.bundle import plain_pictures

    image = Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)
    longer = max(image.size)
    if longer < SMALLEST:
        factor = -(-SMALLEST // longer)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    elif longer > LARGEST:
        image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    kind, encoded = plain_pictures.encode(image, LARGEST_FILE)
    return f"data:{kind};base64," + base64.b64encode(encoded).decode("ascii")


STAGE = Stage(
    name="compare",
    spec=CompareSpec,
    makes="measurement",
    run=run,
    part="comparison",
    derives={"baseline": PartOf("evaluation", "baseline"), "shipped": PartOf("evaluation", "ship")},
    uses=frozenset({"test", "preprocess"}),
    libraries=("numpy", "pillow"),
    revision=2,
)
