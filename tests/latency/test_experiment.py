"""The experiment end to end on two tiny graphs, and what its parts do."""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from compressor.errors import ResourceError, StepError
from compressor.latency import experiment, machine, probe, worker
from compressor.latency.session import make_feed, open_session


def write_graph(path: Path, batch: int | str, width: int, dtype: int = TensorProto.FLOAT) -> Path:
    """`width` × `width` matrix product, of floats or of pixels cast to floats."""
    cast = helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)
    nodes = [cast, helper.make_node("MatMul", ["c", "w"], ["y"])]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [width, width], np.eye(width, dtype=np.float32).ravel())
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", dtype, [batch, width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, width])], [weight],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[experiment.Model]:
    folder = tmp_path_factory.mktemp("graphs")
    return [
        experiment.Model("small", write_graph(folder / "small.onnx", "batch", 8), "small"),
        experiment.Model("large", write_graph(folder / "large.onnx", "batch", 700), "large"),
        experiment.Model("fixed", write_graph(folder / "fixed.onnx", 4, 8, TensorProto.UINT8), "fixed"),
    ]


@pytest.fixture(scope="module")
def measured(models: list[experiment.Model]) -> experiment.Measurement:
    settings = experiment.Settings(batch_sizes=(1, 4), rounds=20, min_seconds=0.0)
    return experiment.measure([*models, models[0]], settings)


def test_every_model_has_a_row_for_each_setting_that_it_can_run(measured: experiment.Measurement) -> None:
    rows = measured.latency["rows"]
    assert {name: [(row["threads"], row["batch"]) for row in rows[name]] for name in rows} == {
        "small": [(1, 1), (1, 4)], "large": [(1, 1), (1, 4)], "fixed": [(1, 4)],
    }  # fmt: skip
    assert measured.latency["skipped"] == [{"model": "fixed", "batch": 1, "fixed_batch": 4}]


def test_a_row_is_whole(measured: experiment.Measurement) -> None:
    row = measured.latency["rows"]["large"][0]
    assert row["low_ms"] <= row["p50_ms"] <= row["high_ms"]
    assert row["p50_ms"] <= row["p90_ms"]
    assert row["samples"] >= 100
    assert row["rounds"] == 20
    assert row["throughput_per_s"] == pytest.approx(1000 / row["p50_ms"])
    assert 0 < row["load_ms"] < 60_000
    assert 0 < row["first_ms"] < 60_000
    assert 5_000_000 < row["peak_memory_bytes"] < 2_000_000_000
    assert measured.latency["runtime_memory_bytes"] < row["peak_memory_bytes"]


def test_the_larger_model_is_slower_in_most_rounds(measured: experiment.Measurement) -> None:
    rounds = measured.rounds
    pairs = list(zip(rounds["small"]["1x1"], rounds["large"]["1x1"], strict=True))
    assert len(pairs) == 20 == len(rounds["busy"]) == len(measured.latency["conditions"])
    assert sum(large > small for small, large in pairs) >= 18


def test_the_machine_is_named(measured: experiment.Measurement) -> None:
    about = measured.latency["machine"]
    assert about["cpu"] == machine.cpu_model()
    assert about["onnxruntime"].count(".") >= 1


def test_quick_leaves_out_what_takes_fresh_processes(models: list[experiment.Model]) -> None:
    told: list[tuple[int, int]] = []
    settings = experiment.Settings(rounds=2, min_seconds=0, quick=True)
    result = experiment.measure(models[:1], settings, lambda done, total: told.append((done, total)))
    row = result.latency["rows"]["small"][0]
    assert row["rounds"] == 2
    assert row["low_ms"] is None
    assert row["load_ms"] is None
    assert row["p50_ms"] > 0
    assert told[-1] == (3, 3)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "not.onnx"
    path.write_text("no graph")
    with pytest.raises(StepError, match=r"not\.onnx"):
        experiment.measure([experiment.Model("x", path)], experiment.Settings(rounds=2, quick=True))


def test_a_killed_worker_is_a_matter_of_memory(
    tmp_path: Path, models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "killed.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    monkeypatch.setattr(experiment, "_command", lambda module: [sys.executable, str(script)])
    with pytest.raises(ResourceError, match="below 8"):
        experiment.measure(models[:1], experiment.Settings(batch_sizes=(1, 8), rounds=2, quick=True))


def test_pixels_are_pixels_and_floats_are_floats(models: list[experiment.Model], tmp_path: Path) -> None:
    pixels = make_feed(open_session(str(models[2].path), 1), 4, seed=0)["x"]
    assert pixels.dtype == np.uint8
    assert pixels.shape == (4, 8)
    assert len(np.unique(pixels)) > 10
    floats = make_feed(open_session(str(models[0].path), 1), 2, seed=0)["x"]
    assert floats.dtype == np.float32
    assert floats.shape == (2, 8)
    strange = write_graph(tmp_path / "strange.onnx", "batch", 8, TensorProto.FLOAT16)
    graph = onnx.load(strange)
    graph.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"
    onnx.save(graph, strange)
    with pytest.raises(ValueError, match="length"):
        make_feed(open_session(str(strange), 1), 1, seed=0)


def test_sessions_do_not_spin_between_runs(models: list[experiment.Model]) -> None:
    options = open_session(str(models[0].path), 2).get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    assert options.intra_op_num_threads == 2


def case(model: str, threads: int = 1) -> worker.Case:
    return worker.Case(model, threads, 1, lambda: None)


def test_rounds_hold_each_model_once_in_changing_order_and_keep_settings_together() -> None:
    cases = [case(name, threads) for name in "abcd" for threads in (1, 2)]
    random = np.random.default_rng(0)
    orders = set()
    for _ in range(20):
        order = [(one.model, one.threads) for one in worker.in_order(cases, random)]
        assert sorted(order) == sorted((one.model, one.threads) for one in cases)
        assert len({threads for _, threads in order[:4]}) == 1
        orders.add(tuple(order))
    assert len(orders) > 15


def ticks(monkeypatch: pytest.MonkeyPatch, busy: int, steal: int, total: int) -> None:
    monkeypatch.setattr(machine, "ticks", lambda: machine.Ticks(busy, steal, total))


@pytest.mark.parametrize(("busy", "steal", "is_busy"), [(50, 0, False), (50, 15, True), (65, 0, True), (59, 0, False)])
def test_a_round_is_busy_when_others_take_more_than_a_tenth(
    monkeypatch: pytest.MonkeyPatch, busy: int, steal: int, is_busy: bool
) -> None:
    monkeypatch.setattr(worker.os, "sysconf", lambda name: 100)
    ticks(monkeypatch, busy, steal, 100)
    taken = worker.conditions(machine.Ticks(0, 0, 0), 0.5, 0.0)  # half a second of our own is 50 ticks
    assert taken["busy"] is is_busy
    assert taken["others"] == pytest.approx((busy + steal - 50) / 100)


@pytest.fixture
def collector() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_a_round_is_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = worker.Case("a", 1, 1, lambda: worker.time.sleep(0.002))
    request: dict[str, Any] = {"rounds": 20, "min_seconds": 0.4, "quick": False}
    worker.warm_up(slow, request)
    assert 4 <= slow.repeats <= 10  # 20 ms a round, five samples a round for a p90
    request["min_seconds"] = 0
    fast = worker.Case("a", 1, 1, lambda: None)
    worker.warm_up(fast, request)
    assert fast.repeats >= 1000


def test_the_collector_is_off_while_rounds_run(models: list[experiment.Model], collector: None) -> None:
    seen = []
    request = {"models": [{"sha256": "s", "path": str(models[0].path)}], "threads": [1], "batch_sizes": [1],
               "rounds": 2, "min_seconds": 0, "seed": 0, "quick": True}  # fmt: skip
    worker.experiment(request, lambda message: seen.append(gc.isenabled()))
    assert seen == [True, False, False]


def test_peak_memory_is_this_process_own() -> None:
    before = probe.peak_memory_bytes()
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    after = probe.peak_memory_bytes()
    assert before is not None
    assert after is not None
    assert after >= before
