"""What the pace of one batch says of the real run, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.pipeline.estimate import real_seconds
from compressor.pipeline.smoke import Pace
from compressor.stages.benchmark import BenchmarkSpec
from compressor.stages.finetune import FinetuneSpec
from compressor.stages.quantize import QuantizeSpec

SIZES = {"train": 1000, "validation": 100, "test": 200, "models": 3}


def pace(unit: str, each: float) -> Pace:
    """A node of two seconds that needed `each` seconds for one more of a unit."""
    made = Pace(seconds=2.0)
    made.see(10.0, 1, unit)
    made.see(10.0 + each, 2, unit)
    return made


def quantize(**fields: Any) -> QuantizeSpec:
    return QuantizeSpec.model_validate({"from": "net", **fields})


@pytest.mark.parametrize(
    ("step", "name", "seen", "seconds"),
    [
        (None, "net.evaluation", pace("samples", 0.01), 2 + 0.01 * 300),
        (FinetuneSpec(model="resnet8", epochs=3, batch_size=128), "net", pace("batches", 0.5), 2 + 0.5 * 3 * 8),
        (quantize(calibration_samples=64), "int8", pace("samples", 0.1), 2 + 0.1 * 64),
        (quantize(calibration_samples=64, calibration="mse"), "int8", pace("samples", 0.1), 2 + 0.1 * 128),
        (quantize(calibration_samples=5000), "int8", pace("samples", 0.1), 2 + 0.1 * 1000),
        (quantize(method="qat", epochs=1, batch_size=100), "int8", pace("batches", 0.5), 2 + 0.5 * 10),
        (BenchmarkSpec(threads=(1, 2), min_seconds=1), "fast", pace("rounds", 0.01), 10 * 2 + 3 * 2 * 1),
        (BenchmarkSpec(rounds=20, min_seconds=0), "fast", pace("rounds", 0.5), 6 * 2 + 0.5 * 20),
        (None, "comparison", Pace(seconds=2.0), 2),
    ],
)
def test_more_of_what_was_seen_takes_as_much_longer(step: Any, name: str, seen: Pace, seconds: float) -> None:
    assert real_seconds(step, name, seen, SIZES) == pytest.approx(seconds)


def test_one_event_tells_no_pace() -> None:
    once = Pace(seconds=2.0)
    once.see(10.0, 1, "batches")
    assert real_seconds(FinetuneSpec(model="resnet8"), "net", once, SIZES) == 2


def test_a_whole_run_takes_what_its_parts_take() -> None:
    from compressor.pipeline.estimate import Estimate, Line

    lines = (Line("a", 1.0, 20.0), Line("b", 2.0, 5.5))
    assert Estimate(lines, 9.0, 1, 2).seconds == 25.5
    assert Estimate((), 9.0, 1, 2).seconds == 0


def test_a_pace_is_from_the_first_to_the_last_event_of_a_unit() -> None:
    seen = Pace()
    for at, done in ((10.0, 2), (11.0, 3), (16.0, 6)):
        seen.see(at, done, "batches")
    seen.see(50.0, 1, "samples")
    assert seen.seconds_each("batches") == 1.5  # six seconds for four more
    assert seen.seconds_each("samples") is None
    assert seen.seconds_each("rounds") is None


def test_an_incomplete_batch_is_one_and_other_methods_of_quantization_train_nothing() -> None:
    step = FinetuneSpec(model="resnet8", epochs=2, batch_size=999)
    assert real_seconds(step, "net", pace("batches", 0.5), SIZES) == pytest.approx(2 + 0.5 * 2 * 2)
    assert real_seconds(quantize(epochs=9), "int8", pace("batches", 0.5), SIZES) == 2


def test_timing_takes_the_longer_of_rounds_and_seconds() -> None:
    step = BenchmarkSpec(rounds=21, min_seconds=4, batch_sizes=(1, 8, 32), processes=7)
    assert real_seconds(step, "fast", pace("rounds", 0.5), SIZES) == pytest.approx(7 * 2 + 3 * 3 * 4)
    assert real_seconds(step, "fast", pace("rounds", 5.0), SIZES) == pytest.approx(7 * 2 + 105)
