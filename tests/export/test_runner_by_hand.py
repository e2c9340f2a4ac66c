"""The runner's arithmetic by hand: preprocessing at its limits, softmax, batches, golden samples and rows of a bench."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.device.bench import _fresh, _row
from compressor.device.predict import Model
from compressor.device.preprocess import geometric, numeric, resized
from compressor.device.refused import Refused
from compressor.device.samples import check_samples, reproduced
from compressor.device.steps import check_preprocess


def grey(rows: list[list[int]]) -> Image.Image:
    return Image.fromarray(np.array(rows, np.uint8))


def network(compute: Callable[[np.ndarray], np.ndarray] = lambda x: x, **facts: Any) -> Any:
    """A model whose session is a function; it remembers the sizes of its batches in `sizes`."""
    model = Model.__new__(Model)
    model.facts = {"preprocess": [], "answers": ["a", "b", "c"], **facts}
    model.source = {
        "name": "x",
        "dtype": "uint8",
        "shape": [None, 1, 2, 1],
        "layout": "NHWC",
        **facts.get("source", {}),
    }
    model.in_graph, model.fixed_batch = frozenset(facts.get("in_graph", ())), facts.get("fixed_batch")
    model.sizes = []

    def session(names: None, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        model.sizes.append(len(given["x"]))
        return [compute(given["x"])]

    model.session = SimpleNamespace(run=session)
    return model


@pytest.mark.parametrize(
    ("size", "value", "wanted"),
    [
        ((30, 41), {"shortest": 15}, (15, 20)),  # 41 · 15 / 30 = 20.5
        ((41, 30), {"shortest": 15}, (20, 15)),
        ((30, 41), {"longest": 20}, (14, 20)),  # 30 · 20 / 41 = 14.6
        ((1, 90), {"longest": 20}, (1, 20)),  # 0.2, but one row stays
        ((90, 1), {"longest": 20}, (20, 1)),
        ((1, 90), {"shortest": 2}, (2, 180)),
        ((30, 41), {"exact": [7, 9]}, (7, 9)),
    ],
)
def test_sizes_by_hand(size: tuple[int, int], value: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert resized(size, value) == wanted


def test_what_is_left_over_by_a_pad_goes_down_and_to_the_right() -> None:
    padded = geometric(grey([[1, 2]]), [{"pad": {"to": [2, 5]}}])[..., 0]
    assert padded.tolist() == [[0, 1, 2, 0, 0], [0, 0, 0, 0, 0]]
    color = geometric(Image.new("RGB", (1, 1), (1, 2, 3)), [{"pad": {"to": [1, 2], "fill": 7}}])
    assert color.tolist() == [[[1, 2, 3], [7, 7, 7]]]


@pytest.mark.parametrize(("width", "first"), [(3, 0), (4, 1), (5, 2), (6, 2), (7, 2), (9, 4)])
def test_a_crop_of_two_begins_at_half_of_the_rest_rounded_to_even(width: int, first: int) -> None:
    """Rests of 1, 2, 3, 4, 5 and 7: halves 0.5, 1, 1.5, 2, 2.5 and 3.5."""
    row = [list(range(width))]
    assert geometric(grey(row), [{"center_crop": [1, 2]}])[0, :, 0].tolist() == [first, first + 1]
    column = [[place] for place in range(width)]
    assert geometric(grey(column), [{"center_crop": [2, 1]}])[:, 0, 0].tolist() == [first, first + 1]


def test_a_crop_and_a_pad_may_be_as_large_as_the_picture() -> None:
    for step in ({"center_crop": [1, 2]}, {"pad": {"to": [1, 2]}}):
        assert geometric(grey([[3, 4]]), [step])[..., 0].tolist() == [[3, 4]]


def test_numbers_by_hand() -> None:
    """(pixel / 2 - mean) / std in binary fractions: exact."""
    pixels = np.array([[[[0, 4], [8, 255]]]], np.uint8)  # one row of two pixels, two channels
    found = numeric(pixels, [{"scale": 2}, {"mean": [1.0, -2.0]}, {"std": [0.5, 4.0]}])
    assert found.tolist() == [[[[(0 - 1) / 0.5, (4 - 1) / 0.5]], [[(2 + 2) / 4, (127.5 + 2) / 4]]]]
    with pytest.raises(ValueError, match="mean: has 1 numbers for 2 channels"):
        numeric(pixels, [{"mean": [1.0]}])


@pytest.mark.parametrize(
    "steps",
    [
        [{"resize": {"shortest": 1}}, {"pad": {"to": [16_384, 1], "fill": 255}}, {"center_crop": [1, 16_384]}],
        [{"pad": {"to": [1, 1], "fill": 0}}, {"bits": 8}][:1],
        [{"scale": 1e-30}, {"mean": [0.5, 0.5, 0.5]}, {"std": [1e-6, 1.0, 1.0]}],
        [{"mean": [-1.0, 0, 1]}],
        [{"channels": "gray"}, {"mean": [0.5]}, {"std": [0.5]}],
    ],
)
def test_limits_that_a_list_may_reach(steps: list[dict[str, Any]]) -> None:
    check_preprocess(steps)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"resize": {"shortest": 16_385}}, "a number of pixels, 1 to 16,384"),
        ({"resize": {"longest": 0}}, "a number of pixels, 1 to 16,384"),
        ({"resize": {"exact": [8, 0]}}, "1 to 16,384"),
        ({"center_crop": [8]}, "1 to 16,384"),
        ({"center_crop": [8, 8, 8]}, "1 to 16,384"),
        ({"pad": {"to": [8, 8], "fill": -1}}, "from 0 to 255"),
        ({"pad": {"to": [8, 8], "fill": 0.5}}, "from 0 to 255"),
        ({"pad": {"to": [8, 8], "by": 1}}, "pad: is"),
        ({"mean": [0.5, None, 0.5]}, "a list of 1 or 3 numbers"),
        ({"mean": [0.5, 3.5e38, 0.5]}, "a list of 1 or 3 numbers"),
        ({"mean": []}, "a list of 1 or 3 numbers"),
        ({"std": [1.0, 1.0, -1.0]}, "write numbers above 0"),
        ({"scale": -255}, "a number above 0"),
        ({"scale": 1e-37}, "cannot tell pixels apart"),  # 255 / 1e-37 is more than 3.4e38
        ({"mean": [1e10, 0, 0]}, "cannot tell pixels apart"),  # float32 numbers near 1e10 are 1024 apart
        ({"scale": 1e38, "x": 1}, "is not one `name: value`"),
    ],
)
def test_limits_that_a_list_may_not_pass(step: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_preprocess([step])


def test_softmax_by_hand_however_large_the_outputs() -> None:
    for shift in (0.0, 1000.0, -1000.0):
        found = network().probabilities(np.array([[shift, shift + math.log(3)], [shift, shift]], np.float64))
        assert found == pytest.approx(np.array([[0.25, 0.75], [0.5, 0.5]]))
    told = np.array([[0.25, 0.5]])
    assert network(in_graph=["softmax"]).probabilities(told).tolist() == told.tolist()


@pytest.mark.parametrize(
    ("fixed", "samples", "sizes"), [(2, 5, [2, 2, 2]), (2, 4, [2, 2]), (None, 65, [32, 32, 1]), (None, 3, [3])]
)
def test_batches_by_hand(fixed: int | None, samples: int, sizes: list[int]) -> None:
    model = network(lambda x: 2.0 * x, fixed_batch=fixed)
    given = np.arange(samples, dtype=np.float32).reshape(-1, 1)
    assert model.outputs(given).tolist() == (2 * given).tolist()
    assert model.sizes == sizes


def test_what_a_fixed_batch_lacks_is_zeros() -> None:
    seen: list[list[float]] = []
    model = network(lambda x: (seen.append(x[:, 0].tolist()), x)[1], fixed_batch=4)
    model.outputs(np.ones((6, 1), np.float32))
    assert seen == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_answers_by_hand() -> None:
    """Pixels 1 and 3 of three classes' logits ln(pixel): shares of 1/8, 3/8 and 4/8 where the third is 4."""
    model = network(lambda x: np.log(x.reshape(len(x), 3).astype(np.float64)), source={"shape": [None, 1, 3, 1]})
    first, second = model.answers([grey([[1, 3, 4]]), grey([[5, 3, 2]])])
    assert first == {"answer": "c", "index": 2, "probability": pytest.approx(0.5)}
    assert second == {"answer": "a", "index": 0, "probability": pytest.approx(0.5)}


def test_inputs_of_either_layout_and_type() -> None:
    color = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    assert network(source={"shape": [None, 1, 2, 3]}).prepare(color).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    planes = [[[0, 3]], [[1, 4]], [[2, 5]]]
    assert network(source={"shape": [None, 3, 1, 2], "layout": "NCHW"}).prepare(color).tolist() == planes
    floats = network(source={"shape": [None, 3, 1, 2], "dtype": "float32"}, preprocess=[{"scale": 2}]).prepare(color)
    assert floats.tolist() == [[[0, 1.5]], [[0.5, 2]], [[1, 2.5]]]
    with pytest.raises(ValueError, match=r"becomes \[1, 2, 3\], but the network takes \[1, 2, 1\]"):
        network().prepare(color)


def golden(moved: list[float], turned: list[int], **limits: float) -> tuple[Any, dict[str, Any]]:
    """Three samples of pixels 10 and 20; outputs that `moved` tells of are further away, pixels that `turned` tells."""
    into = io.BytesIO()
    grey([[10, 20]]).save(into, "PNG")
    right = np.full((3, 1, 2, 1), [[10], [20]], np.uint8)
    model = network(lambda x: x.reshape(len(x), 2).astype(np.float32))
    samples = {
        "input": right, "output": np.array([[10 + by, 20] for by in moved], np.float32), "encoded": [into.getvalue()] * 3,
        "tolerance": 0.5, "input_tolerance": 2.0, "median_tolerance": 0.25, **limits,
    }  # fmt: skip
    samples["input"] = right + np.array(turned, np.uint8).reshape(3, 1, 1, 1)
    samples["output"] = samples["output"] + np.array(turned, np.float32).reshape(3, 1)
    return model, samples


def test_golden_samples_may_differ_by_what_they_allow() -> None:
    """Outputs off by 0, 1/2 and 1/4, half of them by 1/4 or less; inputs by 2 of 2."""
    model, samples = golden([0, -0.5, 0.25], [0, 2, 0])
    assert check_samples(model, samples, "s") == {
        "samples": 3, "input_difference": 2.0, "output_difference": 0.5, "tolerance": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("moved", "turned", "words"),
    [
        ([0, 0.625, 0], [0, 0, 0], "the output of sample 1 differs by 0.625, and 0.5 is the most that another"),
        ([0, 0, -0.625], [0, 0, 0], "the output of sample 2 differs by 0.625"),
        ([0, 0, 0], [3, 0, 0], "the input of sample 0 differs by 3, and 2 is the most that another device explains"),
        ([0.375, 0.375, 0], [0, 0, 0], "half of the outputs differ by 0.375 or more, and 0.25 is the most"),
        ([0, 0, math.nan], [0, 0, 0], "the output of sample 2 differs by nan"),
        ([0, math.inf, 0], [0, 0, 0], "the output of sample 1 differs by nan"),
    ],
)
def test_golden_samples_that_differ_by_more_are_named(moved: list[float], turned: list[int], words: str) -> None:
    model, samples = golden(moved, turned)
    with pytest.raises(Refused, match=words):
        check_samples(model, samples, "s")


def test_golden_samples_of_other_shapes_or_types_are_not_run() -> None:
    model, samples = golden([0, 0, 0], [0, 0, 0])
    for changed in ({"input": samples["input"].astype(np.float32)}, {"input": samples["input"][:, :, :1]},
                    {"output": samples["output"][:, :1]}):  # fmt: skip
        with pytest.raises(Refused, match="do not have the shapes"):
            check_samples(model, {**samples, **changed}, "s")


def test_what_was_reproduced_in_words() -> None:
    found = {"samples": 3, "output_difference": 0.125, "tolerance": 0.5}
    told = "3 golden samples reproduced (largest difference 0.125)"
    assert reproduced({}, found) == told
    assert reproduced({}, {**found, "samples": 1}).startswith("1 golden sample reproduced")
    assert reproduced({"bits": {"because": ["a"]}}, {**found, "output_difference": 0.0}).endswith("difference 0)")
    for doubts, listed in (
        ("abcd", "a, b, c, d"),
        ("abcde", "a, b, c, d and 1 more"),
        ("abcdef", "a, b, c, d and 2 more"),
    ):
        assert reproduced({"bits": {"because": list(doubts)}}, found) == (
            f"{told}: not the same bits as where it was made, which is allowed, "
            f"at most 0.5 by how CPUs differ in {listed}"
        )


def process(*rounds: Sequence[float], load: float = 1.0, peak: int | None = None) -> dict[str, Any]:
    """What one process of a bench tells."""
    return {"load_ms": load, "first_ms": 2.0, "peak_memory_bytes": peak, "rounds_ms": rounds}


def test_a_row_of_a_bench_by_hand() -> None:
    """Rounds' medians 2, 4 and 3, so the processes' are 3 and 3; with six processes there is an interval."""
    two = [process((1, 2, 9), (3, 4, 5), load=5, peak=7), process((1, 3, 3), load=9, peak=8)]
    row = _row(two, 2, 8)
    assert (row["threads"], row["batch"], row["samples"], row["rounds"], row["processes"]) == (2, 8, 9, 3, 2)
    assert (row["p50_ms"], row["low_ms"], row["high_ms"]) == (3.0, None, None)
    assert row["throughput_per_s"] == pytest.approx(8 / 0.003)
    assert (row["load_ms"], row["first_ms"], row["peak_memory_bytes"]) == (7.0, 2.0, 8)
    six = _row([process((place,), (place, place)) for place in (5, 1, 4, 2, 6, 3)], 1, 1)
    assert (six["p50_ms"], six["low_ms"], six["high_ms"]) == (3.5, 0.995, pytest.approx(6.03))
    assert six["peak_memory_bytes"] is None


@pytest.mark.parametrize(
    ("ended", "code", "todo"),
    [
        (4, 4, "see that `--check`"),
        (2, 2, "see that `--check`"),
        (7, 7, "end other"),
        (1, 7, "end other"),
        (-9, 7, "end"),
    ],
)
def test_a_process_of_a_bench_that_ends_early_is_told(
    ended: int, code: int, todo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = SimpleNamespace(returncode=ended, stdout="", stderr="x\nrun.py: m: cannot be run\n")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)
    with pytest.raises(Refused) as caught:
        _fresh(Path("b"), 1, 1, 1)
    assert caught.value.code == code
    assert ("died by SIGKILL" if ended < 0 else "was to be timed ended: m: cannot be run") in str(caught.value)
    assert caught.value.todo.startswith(todo)


def test_a_graph_that_onnxruntime_cannot_run_is_an_altered_one() -> None:
    def refuse(_: np.ndarray) -> np.ndarray:
        raise ValueError("Got invalid dimensions for input")

    with pytest.raises(Refused, match="onnxruntime cannot run it") as caught:
        network(refuse).run(np.zeros((1, 2), np.float32))
    assert caught.value.code == 4


def test_rounds_of_one_process_are_one_draw() -> None:
    """However many rounds one process has, they show nothing of another's."""
    row = _row([process(*[(time,)] * 30) for time in (1.0,)], 1, 1)
    assert (row["p50_ms"], row["low_ms"], row["high_ms"], row["rounds"]) == (1.0, None, None, 30)


@pytest.mark.parametrize(("share", "needed"), [(90, 100), (95, 200), (99, 1000)])
def test_a_tail_needs_ten_runs_beyond_it(share: int, needed: int) -> None:
    assert _row([process(range(needed - 1))], 1, 1)[f"p{share}_ms"] is None
    assert _row([process(range(needed))], 1, 1)[f"p{share}_ms"] == pytest.approx((needed - 1) * share / 100)


@pytest.mark.parametrize("wrong", [math.inf, -math.inf, math.nan])
def test_one_output_that_is_no_number_is_beyond_every_limit(wrong: float) -> None:
    _, samples = golden([0, 0, 0], [0, 0, 0], tolerance=math.inf, median_tolerance=math.inf)
    model = network(lambda x: np.where(x.reshape(len(x), 2) == 20, wrong, 10).astype(np.float32))
    with pytest.raises(Refused, match="the output of sample 0 differs by nan"):
        check_samples(model, samples, "s")
