"""What the pace of one batch says of the real run, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.pipeline.plan.node import NodeName
from compressor.pipeline.run.estimate import real_seconds
from compressor.pipeline.run.pace import Pace
from compressor.stages.benchmark import BenchmarkSpec
from compressor.stages.compare import CompareSpec
from compressor.stages.evaluate import EvaluateSpec
from compressor.stages.finetune import FinetuneSpec
from compressor.stages.quantize import STAGE, QuantizeSpec

SIZES = {"train": 1000, "validation": 100, "test": 200, "models": 3}


def pace(unit: str, each: float) -> Pace:
    """A node of two seconds that needed `each` seconds for one more of a unit."""
    made = Pace(seconds=2.0)
    made.see(10.0, 1, unit)
    made.see(10.0 + each, 2, unit)
    return made


def quantize(**fields: Any) -> QuantizeSpec:
    return STAGE.form(fields).model_validate({"from": "net", **fields})


@pytest.mark.parametrize(
    ("step", "seen", "seconds"),
    [
        (EvaluateSpec(), pace("samples", 0.01), 2 + 0.01 * 300),
        (FinetuneSpec(model="resnet8", epochs=3, batch_size=128), pace("batches", 0.5), 2 + 0.5 * 3 * 8),
        (quantize(calibration_samples=64), pace("samples", 0.1), 2 + 0.1 * 64),
        (quantize(calibration_samples=64, calibration="mse"), pace("samples", 0.1), 2 + 0.1 * 128),
        (quantize(calibration_samples=5000), pace("samples", 0.1), 2 + 0.1 * 1000),
        (quantize(method="qat", epochs=1, batch_size=100), pace("batches", 0.5), 2 + 0.5 * 10),
        (BenchmarkSpec(threads=(1, 2), min_seconds=1), pace("rounds", 0.01), 10 * 2 + 3 * 2 * 1),
        (BenchmarkSpec(rounds=20, min_seconds=0), pace("rounds", 0.5), 6 * 2 + 0.5 * 20),
        (CompareSpec(), Pace(seconds=2.0), 2),
    ],
)
def test_more_of_what_was_seen_takes_as_much_longer(step: Any, seen: Pace, seconds: float) -> None:
    assert real_seconds(step, seen, SIZES) == pytest.approx(seconds)


def test_one_event_tells_no_pace() -> None:
    once = Pace(seconds=2.0)
    once.see(10.0, 1, "batches")
    assert real_seconds(FinetuneSpec(model="resnet8"), once, SIZES) == 2


def test_a_whole_run_takes_what_its_parts_take() -> None:
    from compressor.pipeline.run.estimate import Estimate, Line

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
    assert real_seconds(step, pace("batches", 0.5), SIZES) == pytest.approx(2 + 0.5 * 2 * 2)
    assert real_seconds(quantize(), pace("batches", 0.5), SIZES) == 2


def test_timing_takes_the_longer_of_rounds_and_seconds() -> None:
    step = BenchmarkSpec(rounds=21, min_seconds=4, batch_sizes=(1, 8, 32), processes=7)
    assert real_seconds(step, pace("rounds", 0.5), SIZES) == pytest.approx(7 * 2 + 3 * 3 * 4)
    assert real_seconds(step, pace("rounds", 5.0), SIZES) == pytest.approx(7 * 2 + 105)


def test_what_a_smoke_run_told_becomes_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two models of one second; an evaluation of two seconds sees 1/100 s for each of 300 samples more."""
    from pathlib import Path
    from types import SimpleNamespace

    from compressor.pipeline.run import estimate

    told: list[dict[str, Any]] = []

    def run(request: Any, out: Path, on_event: Any, command: str) -> None:
        assert (request.smoke, request.store.parent, out.parent, command) == (True, out.parent, out.parent, "smoke x")
        (request.store / "below").mkdir(parents=True)
        (request.store / "a").write_bytes(b"1234567")
        (request.store / "below" / "b").write_bytes(b"123")
        on_event({"event": "sizes", "sizes": {"train": 1000, "validation": 100, "test": 200}})
        for node, seconds in (("net", 1.0), ("net.evaluation", 2.0), ("other.evaluation", 1.0)):
            on_event({"event": "done", "node": node, "seconds": seconds})
        on_event({"event": "progress", "node": "net.evaluation", "done": 1, "unit": "samples"})
        on_event({"event": "progress", "node": "net.evaluation", "done": 3, "unit": "samples"})

    names = (("net", ""), ("net", "evaluation"), ("other", "evaluation"), ("reused", ""))
    specs = {"": FinetuneSpec(model="resnet8"), "evaluation": EvaluateSpec()}
    nodes = [SimpleNamespace(name=NodeName(*name), spec=specs[name[1]]) for name in names]
    clock = iter([100.0, 110.0, 110.02, 107.5])  # begun, two events of progress, ended
    monkeypatch.setattr(estimate, "run", run)
    monkeypatch.setattr(estimate, "prepare", lambda request: SimpleNamespace(plan=SimpleNamespace(nodes=nodes)))
    monkeypatch.setattr(estimate.spec, "load", lambda path, sets: SimpleNamespace(steps={}))
    monkeypatch.setattr(estimate, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    found = estimate.smoke(Path("x.yaml"), (), "cpu", told.append, "smoke x")
    assert [(line.node, line.smoke_seconds) for line in found.lines] == [
        ("net", 1.0), ("net.evaluation", 2.0), ("other.evaluation", 1.0),
    ]  # fmt: skip
    assert [line.real_seconds for line in found.lines] == pytest.approx([1.0, 2.0 + 300 * 0.01, 1.0])
    assert (found.smoke_seconds, found.disk_bytes, len(told)) == (7.5, 10, 6)
    assert found.memory_bytes >= 0
