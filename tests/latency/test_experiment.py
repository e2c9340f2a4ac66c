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

from compressor import machine
from compressor.errors import ResourceError, StepError
from compressor.latency import experiment, memory, worker
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
    settings = experiment.Settings(batch_sizes=(4, 1), processes=6, rounds=20, min_seconds=0.0)
    return experiment.measure([*models, models[0]], settings)


def test_every_model_has_a_row_for_each_setting_that_it_can_run(measured: experiment.Measurement) -> None:
    rows = measured.latency["rows"]
    assert {name: [(row["threads"], row["batch"]) for row in rows[name]] for name in rows} == {
        "small": [(1, 4), (1, 1)], "large": [(1, 4), (1, 1)], "fixed": [(1, 4)],
    }  # fmt: skip
    assert measured.latency["skipped"] == [{"model": "fixed", "batch": 1, "fixed_batch": 4}]


def test_a_row_is_whole(measured: experiment.Measurement) -> None:
    row = measured.latency["rows"]["large"][1]
    assert row["low_ms"] <= row["p50_ms"] <= row["high_ms"]
    assert row["samples"] >= 100
    assert (row["rounds"], row["processes"]) == (20, 6)
    assert row["throughput_per_s"] == pytest.approx(1000 / row["p50_ms"])
    assert 0 < row["load_ms"] < 60_000
    assert 0 < row["first_ms"] < 60_000
    assert 5_000_000 < row["peak_memory_bytes"] < 2_000_000_000
    assert measured.latency["runtime_memory_bytes"] < row["peak_memory_bytes"]


def test_the_peak_of_a_model_counts_its_weights_and_not_those_of_others(measured: experiment.Measurement) -> None:
    rows = measured.latency["rows"]
    weights = 700 * 700 * 4
    more = rows["large"][1]["peak_memory_bytes"] - rows["small"][1]["peak_memory_bytes"]
    assert 0.5 * weights < more < 20 * weights


def test_rounds_say_their_process_and_conditions(measured: experiment.Measurement) -> None:
    rounds = measured.rounds
    assert rounds["process"] == [0] * 4 + [1] * 4 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 3
    assert len(rounds["busy"]) == 20 == len(measured.latency["conditions"])
    assert len(rounds["small"]["1x1"]) == 20 == len(rounds["large"]["1x4"])
    assert [set(one["before"]) for one in measured.latency["surroundings"]] == [{"load", "frequency_mhz", "steal"}] * 6


def test_the_larger_model_is_slower_in_most_rounds(measured: experiment.Measurement) -> None:
    rounds = measured.rounds
    pairs = list(zip(rounds["small"]["1x1"], rounds["large"]["1x1"], strict=True))
    assert sum(large > small for small, large in pairs) >= 18


def test_the_machine_is_named(measured: experiment.Measurement) -> None:
    about = measured.latency["machine"]
    assert about["cpu"] == machine.cpu_model()
    assert about["onnxruntime"].count(".") >= 1


def test_quick_is_one_process(models: list[experiment.Model]) -> None:
    told: list[tuple[int, int]] = []
    settings = experiment.Settings(rounds=2, min_seconds=0, quick=True)
    result = experiment.measure(models[:1], settings, lambda done, total: told.append((done, total)))
    row = result.latency["rows"]["small"][0]
    assert (row["rounds"], row["processes"]) == (2, 1)
    assert row["low_ms"] is None
    assert row["p50_ms"] > 0
    assert told == [(1, 2), (2, 2)]


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "not.onnx"
    path.write_text("no graph")
    with pytest.raises(StepError, match=r"not\.onnx"):
        experiment.measure([experiment.Model("x", path)], experiment.Settings(rounds=2, quick=True))


def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *lines: str) -> None:
    """A worker that does what the lines say; `request` is what it was asked."""
    script = tmp_path / "stand_in.py"
    script.write_text(
        "import base64, json, os, signal, struct, sys\nrequest = json.load(sys.stdin)\n" + "\n".join(lines)
    )
    monkeypatch.setattr(experiment, "_command", lambda: [sys.executable, str(script)])


KILL = "os.kill(os.getpid(), signal.{})"


def test_a_killed_process_is_a_matter_of_memory(
    tmp_path: Path, models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, tmp_path, KILL.format("SIGKILL"))
    with pytest.raises(ResourceError, match="use a batch size below 8 or end other programs"):
        experiment.measure(models[:1], experiment.Settings(batch_sizes=(1, 8), rounds=2, quick=True))
    with pytest.raises(ResourceError, match=r"want of memory[^;]*; end other programs"):
        experiment.measure(models[:1], experiment.Settings(rounds=2, quick=True))


def test_a_process_that_dies_otherwise_says_how(
    tmp_path: Path, models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, tmp_path, KILL.format("SIGSEGV"))
    with pytest.raises(ResourceError, match="died by SIGSEGV"):
        experiment.measure(models[:1], experiment.Settings(rounds=2, quick=True))
    stand_in(monkeypatch, tmp_path, "sys.exit('no numpy here')")
    with pytest.raises(StepError, match="no numpy here"):
        experiment.measure(models[:1], experiment.Settings(rounds=2, quick=True))


def test_a_process_that_never_listens_is_an_error_like_any_other(
    models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "_command", lambda: [sys.executable, "-c", "raise SystemExit('not today')"])
    many = [experiment.Model(f"{place:064d}", models[0].path) for place in range(2000)]  # more than a pipe holds
    with pytest.raises(StepError, match="not today"):
        experiment.measure(many, experiment.Settings(rounds=2, quick=True))


# In process p (from 1) a round of model m (from 1) has the runs p·m, p·m and 100 in the first round, p·m + 1 after.
ANSWER = """
p = request["process"] + 1
cases = []
for place, (number, threads) in enumerate(request["sessions"]):
    m = number + 1
    runs = [run for r in range(request["rounds"]) for run in (p * m + (r > 0), p * m + (r > 0), 100.0)]
    cases.append({"model": request["models"][number]["sha256"], "threads": threads, "batch": 1, "opened": place,
                  "load_ms": 10.0 * m + (5.0 if place == 0 else 0.0), "first_ms": 1.0, "peak_bytes": 1000 * m + (place == 0),
                  "lengths": [3] * request["rounds"],
                  "runs_ms": base64.b64encode(struct.pack(f"<{len(runs)}f", *runs)).decode()})
for done in range(request["rounds"]):
    print(json.dumps({"rounds": done + 1}))
moment = {"load": 0.5, "frequency_mhz": 2000.0, "steal": 0.01}
print(json.dumps({"result": {"cases": cases, "skipped": [], "before": moment, "after": moment, "busy_limit": 0.1,
    "rounds": [{"others": 0.0, "steal": 0.0, "busy": p == 2}] * request["rounds"], "runtime_memory_bytes": 50_000 + p}}))
"""


def test_figures_are_over_the_processes(
    tmp_path: Path, models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, tmp_path, ANSWER)
    told: list[tuple[int, int]] = []
    settings = experiment.Settings(processes=6, rounds=18)
    found = experiment.measure(models[:2], settings, lambda done, total: told.append((done, total)))
    small, large = (found.latency["rows"][name][0] for name in ("small", "large"))
    # A process's rounds have the medians p·m, p·m + 1, p·m + 1; over p = 1 … 6 the middle is 3.5·m + 1.
    assert [small[key] for key in ("p50_ms", "low_ms", "high_ms")] == pytest.approx([4.5, 0.995 * 2, 1.005 * 7])
    assert [large[key] for key in ("p50_ms", "low_ms", "high_ms")] == pytest.approx([8, 0.995 * 3, 1.005 * 13])
    assert (small["processes"], small["rounds"], small["samples"]) == (6, 18, 54)
    assert found.rounds["small"]["1x1"][:4] == [1.0, 2.0, 2.0, 2.0]
    assert found.rounds["process"] == [place for place in range(6) for _ in range(3)]
    assert found.rounds["busy"] == [place == 1 for place in range(6) for _ in range(3)]
    assert (small["load_ms"], large["load_ms"]) == (15.0, 25.0)  # each came first in some process
    assert small["peak_memory_bytes"] == round(50_003.5 + 1001)
    assert told == [(done, 18) for done in range(1, 19)]


def test_what_the_third_process_finds_wrong_ends_the_experiment(
    tmp_path: Path, models: list[experiment.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = 'print(json.dumps({"error": "Fail: no such kernel", "short": False})); sys.exit(1)'
    stand_in(monkeypatch, tmp_path, f"if request['process'] == 2: {wrong}", ANSWER)
    with pytest.raises(StepError, match="no such kernel"):
        experiment.measure(models[:2], experiment.Settings(processes=6, rounds=18))


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
    taken = worker.conditions(machine.Ticks(0, 0, 0), 0.5)  # half a second of our own is 50 ticks
    assert taken["busy"] is is_busy
    assert taken["others"] == pytest.approx((busy + steal - 50) / 100)


@pytest.fixture
def collector() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_a_round_is_as_long_as_asked() -> None:
    slow = worker.Case("a", 1, 1, lambda: worker.time.sleep(0.002), second_ms=2.0)
    request: dict[str, Any] = {"rounds_in_all": 20, "round_seconds": 0.02, "quick": False}
    worker.warm_up(slow, request)
    assert 4 <= slow.repeats <= 10  # 20 ms a round, five samples a round for a p90
    request["round_seconds"] = 0
    fast = worker.Case("a", 1, 1, lambda: None, second_ms=0.0)
    worker.warm_up(fast, request)
    assert fast.repeats >= 1000


def test_the_collector_is_off_while_rounds_run(models: list[experiment.Model], collector: None) -> None:
    seen = []
    request = {"models": [{"sha256": "s", "path": str(models[0].path)}], "sessions": [[0, 1]], "batch_sizes": [1],
               "process": 0, "rounds": 2, "rounds_in_all": 2, "round_seconds": 0, "seed": 0, "quick": True}  # fmt: skip
    worker.experiment(request, lambda message: seen.append(gc.isenabled()))
    assert seen == [False, False]


def test_the_peak_starts_again() -> None:
    if not memory.reset_peak():
        pytest.skip("this kernel does not reset the peak")
    mega = 1024 * 1024
    before = memory.resident_bytes()
    block = bytearray(64 * mega)
    block[::4096] = b"x" * len(block[::4096])
    del block
    after = memory.peak_bytes()
    assert before is not None
    assert after is not None
    assert 60 * mega < after - before < 80 * mega
    memory.reset_peak()
    again = memory.peak_bytes()
    assert again is not None
    assert again < after - 50 * mega
