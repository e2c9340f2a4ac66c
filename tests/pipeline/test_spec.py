"""A pipeline as typed values, and the rules between its parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from compressor.data.settings import DataSettings
from compressor.errors import InputError
from compressor.pipeline.file import spec, yaml_file
from compressor.pipeline.file.budget import Limit
from compressor.pipeline.file.resolved import resolved, resolved_yaml
from tests.pipeline.toy_stages import FILE, Make, parse

STEPS = FILE.split("steps:\n")[0] + "steps:\n"


def mistakes(text: str, *sets: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        parse(text, *sets)
    return [sentence.removeprefix("folder/") for sentence in caught.value.sentences()]


def test_a_file_becomes_typed_values_in_order() -> None:
    pipeline = parse(FILE)
    assert list(pipeline.steps) == ["big", "small", "int8", "edge", "fast"]
    small = pipeline.steps["small"]
    assert isinstance(small, Make)
    assert (small.temperature, small.seed, small.epochs) == (6.0, 3, 10)
    assert (pipeline.version, pipeline.name, pipeline.seed, pipeline.onnx.opset) == (1, "toy", 0, 21)
    assert pipeline.text == FILE
    assert pipeline.lines["steps", "small"] == 6


def test_baseline_is_the_first_model_and_ship_the_only_export() -> None:
    pipeline = parse(FILE)
    assert (pipeline.baseline, pipeline.ship) == ("big", "edge")


def test_a_pipeline_may_ship_nothing() -> None:
    pipeline = parse(STEPS + "  big: {stage: make, model: net}\n")
    assert (pipeline.baseline, pipeline.ship, pipeline.budget) == ("big", None, ())


def test_roles_are_the_steps_that_a_step_names() -> None:
    pipeline = parse(FILE)
    assert pipeline.roles("small") == {"teacher": "big"}
    assert pipeline.roles("int8") == {"from": "small"}
    assert pipeline.roles("fast") == {}
    assert pipeline.stage("int8").makes == "onnx"


def test_limits_stand_in_the_order_of_the_file() -> None:
    assert parse(FILE).budget == (
        Limit("accuracy", "max_drop", 0.02),
        Limit("accuracy", "min", 0.9),
        Limit("latency_p50_ms", "max", 1.0),
    )
    assert parse(FILE).decide == "interval"
    assert parse(FILE, "budget.decide=point").decide == "point"


def test_a_pipeline_cannot_be_changed_but_copied() -> None:
    pipeline = parse(FILE)
    with pytest.raises(ValidationError):
        pipeline.name = "other"
    copy = pipeline.model_copy(update={"steps": {"big": pipeline.steps["big"]}})
    assert list(copy.steps) == ["big"]
    assert (copy.roles("big"), copy.base) == ({}, pipeline.base)


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(FILE).base == tmp_path / "folder"
    assert parse(FILE).path == Path("folder/x.yaml")


def test_errors_found_later_can_name_the_line() -> None:
    pipeline = parse(FILE, "steps.small.weights=w.pt")
    assert pipeline.where("steps", "big", "weights") == "folder/x.yaml:5: steps.big.weights"
    assert pipeline.where("steps", "small", "weights") == "--set steps.small.weights=w.pt"


def test_variables_are_replaced_in_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SETS", "/s")
    pipeline = parse(FILE, "steps.small.weights='${SETS}/w.pt'", "steps.big.model='${SETS}'")
    small, big = pipeline.steps["small"].network(), pipeline.steps["big"].network()
    assert small and big and (small.weights, big.ref) == ("/s/w.pt", "${SETS}")
    data = DataSettings.model_validate({"folder": "${SETS}${SETS}"})
    assert data.folder == Path("/s/s")


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_variable_is_a_mistake_of_its_line(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SETS", raising=False) if value is None else monkeypatch.setenv("SETS", value)
    assert mistakes(FILE.replace("model: net,", "model: net, weights: '${SETS}/a',")) == [
        "x.yaml:5: steps.big.weights: the environment has no variable SETS; set it: export SETS=…"
    ]
    task = "{type: image-classification, data: {name: cifar10, root: '${SETS}/a'}}"
    document = yaml_file.scan(
        f"version: 1\nname: x\ntask: {task}\nsteps: {{a: {{stage: finetune, model: resnet8}}}}\n", Path("x.yaml")
    )
    with pytest.raises(InputError, match=r"x.yaml:3: task.data.root: the environment has no variable SETS; set it: "):
        spec.parse(document)


def test_resolved_says_everything_and_reads_back_to_itself() -> None:
    pipeline = parse(FILE)
    written = resolved_yaml(pipeline)
    steps = yaml.safe_load(written)["steps"]
    assert steps["int8"] == {"stage": "pack", "from": "small", "method": "ptq", "steps": 1, "limit": 1.0}
    assert steps["big"]["optimizer"] == "adamw"
    assert "momentum" not in steps["big"], "it does nothing with adamw, and would be refused"
    assert "temperature" not in steps["big"]
    assert steps["small"] | {"temperature": 6.0, "momentum": 0.9, "batch_size": 128} == steps["small"]
    again = parse(written)
    assert resolved(again) == resolved(pipeline)
    assert again.budget == pipeline.budget
    assert list(again.steps) == list(pipeline.steps)


def test_resolved_keeps_a_null_that_means_something() -> None:
    pipeline = parse(FILE, "steps.int8.limit=null")
    assert resolved(pipeline)["steps"]["int8"]["limit"] is None
    assert resolved(parse(resolved_yaml(pipeline))) == resolved(pipeline)
    assert resolved(parse(FILE))["steps"]["int8"]["limit"] == 1.0


def test_set_changes_the_pipeline_and_not_its_text() -> None:
    pipeline = parse(FILE, "steps.small.temperature=2", "seed=7")
    assert resolved(pipeline)["steps"]["small"]["temperature"] == 2.0
    assert (pipeline.seed, pipeline.text) == (7, FILE)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("steps.small.temprature=2", 'no such field in "make"; did you mean "temperature"?'),
        ("steps.small.temperature=0", "0 is out of range; give a number above 0 and at most 100"),
        ("steps.small.temperature=hot", '"hot" is not a number; give a number above 0 and at most 100'),
        ("steps.small.temperature='2'", '"2" is not a number; write it without quotes'),
        ("steps.small.temperature=true", "true is not a number; give a number above 0 and at most 100"),
        ("steps.small.temperature=", "an empty value is not a number; give a number above 0 and at most 100"),
        ("steps.small.teacher=bog", 'there is no step "bog"; did you mean "big"?'),
        ("steps.small.teacher=small", '"small" is this step itself; name one of: "big"'),
        ("steps.small.teacher=int8", '"int8" comes later in the file; move it above "small", or name one of: "big"'),
        ("steps.edge.from=fast", '"fast" comes later in the file; '
         'move it above "edge", or name one of: "big", "small", "int8"'),
        ("steps.edge.batch_size=many", '"many" does not fit; give "dynamic", or a whole number'),
        ("steps.int8.epochs=3", "has no effect: method ptq does not train, only qat does; leave it out"),
        ("steps.big.momentum=0.5", "has no effect: adamw has no momentum; leave it out"),
        ("steps.big.temperature=4", "has no effect: there is no teacher to learn from; leave it out"),
        ("steps.small.from=big", "stands beside model, and a step starts from one of them; "
         "keep model for a new network, or from to go on with that step's"),
        ("steps.big.expect={acuracy: 1}", 'no such metric of the task; did you mean "accuracy"?'),
        ("version=2", "2 is not 1; write 1"),
        ("version=true", "true is not 1; write 1"),
        ("name=Toy", '"Toy" has another form; write text of a-z, 0-9 and -'),
        ("seed=4294967296", "4294967296 is out of range; give a whole number at least 0 and below 4294967296"),
        ("onnx.opset=24", "24 is out of range; give a whole number from 18 to 23"),
        ("task.type=toys", 'there is no task "toys"; did you mean "toy"?'),
        ("steps.big.stage=mak", 'there is no stage "mak"; did you mean "make"?'),
        ("steps.big.stage=evaluate", '"evaluate" is put in by the plan where it is needed; leave the step out'),
        ("baseline=edge", '"edge" makes no model to compare with; name one of: "big", "small", "int8"'),
        ("ship=int8", '"int8" exports no bundle; name one of: "edge"'),
        ("budget.accuray.min=1", 'no such measure; did you mean "accuracy"?'),
        ("budget.accuracy.min=92", "92 is out of range; accuracy is a number from 0 to 1; write 0.92 for 92 %"),
        ("budget.accuracy.max_drop=2", "2 is out of range; accuracy is a number from 0 to 1; write 0.02 for 2 %"),
        ("budget.size_mb=1", "1 is not a limit; write `size_mb: {max: 1}`"),
        ("budget.accuracy={}", "has no limit; give min, max or max_drop"),
        ("budget.speedup.max_drop=1", "only a metric of the task can drop; "
         "write min or max, or limit speedup or size_ratio"),
    ],
)  # fmt: skip
def test_a_wrong_value_says_where_what_and_what_to_do(option: str, told: str) -> None:
    (sentence,) = mistakes(FILE, option)
    start = f"--set {option}"
    assert sentence.startswith(start)
    assert sentence.endswith(f": {told}")


def test_a_step_that_makes_the_wrong_kind_is_named_with_those_that_fit() -> None:
    text = STEPS + "  a: {stage: make, model: net}\n  b: {stage: pack, from: a}\n  c: {stage: make, from: b}\n"
    assert mistakes(text) == [
        'x.yaml:7: steps.c.from: "b" makes an ONNX graph (pack), but make needs a model here; name one of: "a"'
    ]


def test_a_role_without_anything_before_it_says_what_to_put_there() -> None:
    text = STEPS + "  b: {stage: pack, from: a}\n"
    assert mistakes(text) == ['x.yaml:5: steps.b.from: there is no step "a"; put a step that makes a model before it']


def test_a_step_needs_model_or_from() -> None:
    (sentence,) = mistakes(STEPS + "  a: {stage: make}\n")
    assert sentence.startswith("x.yaml:5: steps.a: make has neither model nor from; ")


def test_a_stage_says_itself_which_of_its_fields_do_nothing() -> None:
    assert mistakes(FILE.replace("{stage: pack,", "{stage: pack, method: qat, steps: 2,")) == [
        "x.yaml:7: steps.int8.steps: has no effect: qat has its own; leave it to it"
    ]


def test_an_optional_field_set_to_null_is_as_good_as_left_out() -> None:
    assert parse(FILE.replace("model: net,", "model: net, teacher: null, from: ,")).roles("big") == {}


def test_what_a_wrong_step_would_have_made_is_not_blamed_twice() -> None:
    assert mistakes(FILE.replace("stage: pack, from", "stage: pack, methd: ptq, from")) == [
        'x.yaml:7: steps.int8.methd: no such field in "pack"; did you mean "method"?'
    ]
    assert mistakes(FILE.replace("stage: pack", "stage: pak")) == [
        'x.yaml:7: steps.int8.stage: there is no stage "pak"; did you mean "pack"?'
    ]


@pytest.mark.parametrize("measure", ["latency_p50_ms", "latency_p99_ms", "peak_memory_mb", "speedup"])
def test_a_limit_on_time_needs_a_benchmark(measure: str) -> None:
    text = FILE.replace("  fast: {stage: benchmark, threads: [1, 2]}\n", "").split("budget:")[0]
    assert mistakes(f"{text}budget: {{{measure}: {{max: 1}}}}\n") == [
        f"x.yaml:9: budget.{measure}: needs a benchmark step; add one, like `latency: {{stage: benchmark}}`"
    ]


@pytest.mark.parametrize("measure", ["size_mb", "size_ratio", "params", "macs", "accuracy", "mean_error"])
def test_other_limits_need_none(measure: str) -> None:
    text = FILE.replace("  fast: {stage: benchmark, threads: [1, 2]}\n", "").split("budget:")[0]
    assert parse(f"{text}budget: {{{measure}: {{min: 0.5}}}}\n").budget == (Limit(measure, "min", 0.5),)


def test_a_budget_is_about_what_ships() -> None:
    (sentence,) = mistakes(STEPS + "  a: {stage: make, model: net}\nbudget: {size_mb: {max: 1}}\n")
    assert sentence.startswith("x.yaml:6: budget: is about what ships, and no step exports; ")


def test_several_exports_need_ship() -> None:
    text = FILE.replace("budget:", "  other: {stage: export, from: big}\nbudget:")
    assert mistakes(text) == [
        "x.yaml:10: steps.other: is a second export step, and the file does not say which ships; add `ship: other`"
    ]
    assert parse(text + "ship: edge\n").ship == "edge"


def test_one_benchmark_measures_all() -> None:
    (sentence,) = mistakes(FILE.replace("budget:", "  slow: {stage: benchmark}\nbudget:"))
    assert sentence.startswith('x.yaml:10: steps.slow: is a second benchmark beside "fast"')


def test_all_mistakes_come_at_once_in_the_order_of_lines() -> None:
    text = FILE.replace("version: 1", "version: 3").replace("model: net,", "model: net, epochs: 0,")
    text = text.replace("from: int8", "from: int9").replace("min: 0.9", "min: x")
    found = mistakes(text, "steps.fast.threads=[]")
    assert [sentence.split(": ")[:2] for sentence in found[:-1]] == [
        ["x.yaml:1", "version"],
        ["x.yaml:5", "steps.big.epochs"],
        ["x.yaml:8", "steps.edge.from"],
        ["x.yaml:10", "budget.accuracy.min"],
    ]
    assert found[-1].startswith("--set steps.fast.threads=[]: ")


HEAVY = ("torch", "onnx", "onnxruntime", "torchvision", "sklearn", "timm")


def test_loading_a_file_loads_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(
        "version: 1\nname: x\ntask: {type: image-classification, data: digits}\nsteps:\n"
        "  big: {stage: finetune, model: resnet8}\n  small: {stage: distill, teacher: big, model: mlperf_resnet8}\n"
        "  thin: {stage: prune, from: small, keep: {macs: 0.5}}\n  int8: {stage: quantize, from: thin}\n"
        "  edge: {stage: export, from: int8}\n  fast: {stage: benchmark}\n"
        "budget: {accuracy: {min: 0.9}, latency_p50_ms: {max: 9}}\n"
    )
    code = (
        "import sys; from compressor.pipeline.file import resolved, spec; from compressor.stages import STAGES; "
        "list(STAGES.values()); "
        f"resolved.resolved_yaml(spec.load(sys.argv[1])); print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
