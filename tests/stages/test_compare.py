"""The compare stage: who was lost and won, the worst first, and pictures that a page can show."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.problem.batch import Arrays, only
from compressor.problem.metric import Metric, mean
from compressor.problem.task import Answer, Exhibit, Split
from compressor.stages import compare
from compressor.stages.compare import STAGE, CompareSpec
from compressor.store.artifact import Artifact
from compressor.tasks.classification_metrics.accuracy import METRIC as ACCURACY
from tests.evaluations import written
from tests.toy import ToyTask, toy_context


class Shown(ToyTask):
    def show(self, split: Split, index: int) -> Exhibit:
        assert split == "test"
        return Exhibit(b"", np.full((8, 8, 1), index, np.uint8), f"the target of {index}")

    def answers(self, outputs: Arrays, activation: str | None = None) -> list[Answer]:
        shares = np.exp(only(outputs)) / np.exp(only(outputs)).sum(1, keepdims=True)
        return [
            Answer(one.text, float(share.max())) for one, share in zip(super().answers(outputs), shares, strict=True)
        ]


def predictions(folder: Path, outputs: list[list[float]], targets: list[int]) -> Artifact:
    made = np.array(outputs, np.float32)
    right = (made.argmax(1) == np.array(targets)).astype(np.float64)
    places = np.arange(10, 10 + len(targets))
    written(folder, right, arrays={"test_outputs": made, "test_targets": targets, "test_indices": places})
    return Artifact(folder.name, "onnx", "evaluate", folder)


def test_lost_won_and_the_surest_wrong_answer_first(tmp_path: Path) -> None:
    targets = [0, 1, 2, 0, 1]
    before = predictions(tmp_path / "before", [[9, 0, 0], [0, 9, 0], [9, 0, 0], [9, 0, 0], [9, 0, 0]], targets)
    after = predictions(tmp_path / "after", [[0, 1, 0], [0, 0, 5], [0, 0, 9], [9, 0, 0], [9, 0, 0]], targets)
    context = toy_context(tmp_path, Shown())
    facts = STAGE.run(CompareSpec(), {"baseline": before, "shipped": after}, context)
    found = json.loads((context.folder / "comparison.json").read_text())
    assert facts == {"lost": 2, "won": 1}
    assert (found["lost"], found["won"]) == (2, 1)
    second, first = found["worst"][1], found["worst"][0]
    assert (first["sample"], first["target"]) == (11, "the target of 11")
    assert (first["baseline_answer"], first["answer"]) == ("b", "c")
    assert first["confidence"] == pytest.approx(np.exp(5) / (np.exp(5) + 2))
    assert (second["sample"], second["answer"]) == (10, "b")


def test_where_lower_is_better_what_rises_is_lost(tmp_path: Path) -> None:
    class Errors(Shown):
        def __init__(self) -> None:
            super().__init__()
            wrong = mean(
                "error", lambda outputs, targets: 1 - ACCURACY.each(outputs, targets), better="lower", range=(0, 1)
            )  # type: ignore[misc]
            self.metrics = {"share": Metric("share", "higher", "share", (0, 1), ACCURACY.value), "error": wrong}

    before = predictions(tmp_path / "before", [[9, 0, 0], [0, 9, 0], [9, 0, 0]], [0, 1, 2])
    after = predictions(tmp_path / "after", [[0, 1, 0], [0, 0, 5], [0, 0, 9]], [0, 1, 2])
    context = toy_context(tmp_path, Errors())
    assert STAGE.run(CompareSpec(), {"baseline": before, "shipped": after}, context) == {"lost": 2, "won": 1}


def test_at_most_twenty_are_shown(tmp_path: Path) -> None:
    before = predictions(tmp_path / "before", [[1, 0, 0]] * 30, [0] * 30)
    after = predictions(tmp_path / "after", [[0, 1, 0]] * 30, [0] * 30)
    context = toy_context(tmp_path, Shown())
    assert STAGE.run(CompareSpec(), {"baseline": before, "shipped": after}, context) == {"lost": 30, "won": 0}
    worst = json.loads((context.folder / "comparison.json").read_text())["worst"]
    assert [one["sample"] for one in worst] == list(range(10, 30))


@pytest.mark.parametrize(
    ("shape", "mode", "size"),
    [
        ((8, 8, 1), "L", (96, 96)),
        ((32, 32, 3), "RGB", (96, 96)),
        ((28, 20, 1), "L", (80, 112)),
    ],
)
def test_small_pictures_are_png_of_a_readable_size(shape: tuple[int, ...], mode: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    head, body = compare.picture(pixels).split(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert (image.format, image.mode, image.size) == ("PNG", mode, size)
    if shape[0] < 96:
        factor = size[1] // shape[0]
        assert np.array_equal(np.asarray(image)[::factor, ::factor].reshape(shape), pixels)


def test_large_pictures_are_small_files() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    head, body = compare.picture(pixels).split(",")
    assert head == "data:image/jpeg;base64"
    encoded = base64.b64decode(body)
    assert len(encoded) <= 32_000
    assert Image.open(io.BytesIO(encoded)).size == (192, 192)
