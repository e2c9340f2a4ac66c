"""The plan over toy stages and a store of plain data."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import pytest

from compressor.errors import InputError, IntegrityError
from compressor.models.settings import CatalogueModel
from compressor.strict import Later
from tests.pipeline.toy_plans import (  # noqa: F401
    PARTS,
    STAGES,
    VERSIONS,
    BenchmarkSpec,
    DistillSpec,
    ExportSpec,
    FinetuneSpec,
    LoadSpec,
    Onnx,
    QuantizeSpec,
    Toy,
    digits,
    planned,
    ran,
    shelf,
    story,
)


def test_nodes_and_their_inputs(shelf):
    made = planned(digits(), shelf)
    inputs = {node.name: {role: one.name for role, one in node.inputs.items()} for node in made.nodes}
    assert inputs == {
        "teacher": {},
        "teacher.evaluation": {"from": "teacher"},
        "student": {"teacher": "teacher"},
        "student.evaluation": {"from": "student"},
        "int8": {"from": "student", "core": "student.evaluation"},
        "int8.evaluation": {"from": "int8", "core": "student.evaluation"},
        "edge": {"from": "int8", "core": "int8.evaluation", "float": "student.evaluation"},
        "edge.evaluation": {"from": "edge", "core": "int8.evaluation"},
        "latency": {
            "models.0": "teacher.evaluation", "models.1": "student.evaluation",
            "models.2": "int8.evaluation", "models.3": "edge.evaluation",
        },
        "comparison": {"baseline": "teacher.evaluation", "shipped": "edge.evaluation"},
    }  # fmt: skip
    assert list(inputs)[-2:] == ["latency", "comparison"]
    assert set(story(made).values()) == {"run never run"}
    assert {node.name.step for node in made.nodes} == {"teacher", "student", "int8", "edge", "latency", ""}


def test_an_export_of_a_float_model_has_one_core(shelf):
    made = planned(digits(edge=ExportSpec.model_validate({"from": "student"})), shelf)
    assert {role: one.name for role, one in made.node("edge").inputs.items()} == {
        "from": "student", "core": "student.evaluation", "float": "student.evaluation",
    }  # fmt: skip


def test_measurements_come_last_wherever_they_stand(shelf):
    usual = digits().steps
    made = planned(Toy({"latency": usual["latency"], **usual}), shelf)
    assert [node.name for node in made.nodes][-2:] == ["latency", "comparison"]


def test_no_comparison_without_something_to_compare(shelf):
    for lacks in ({"ship": None}, {"baseline": None}, {"baseline": "edge"}):
        assert "comparison" not in story(planned(replace(digits(), **lacks), shelf))


def test_unchanged_is_reused(ran):
    assert set(story(planned(digits(), ran)).values()) == {"reuse"}


def test_another_temperature_runs_distill_and_what_follows(ran):
    made = planned(digits(student=DistillSpec(teacher="teacher", model="resnet8", temperature=6)), ran)
    assert story(made) == {
        "teacher": "reuse",
        "teacher.evaluation": "reuse",
        "student": "run temperature 4 -> 6",
        "student.evaluation": "run after student",
        "int8": "run after student",
        "int8.evaluation": "run after int8, student",
        "edge": "run after int8, student",
        "edge.evaluation": "run after edge, int8",
        "latency": "run after student, int8, edge",
        "comparison": "run after edge",
    }


def test_a_renamed_step_is_reused(ran):
    usual = digits().steps
    pipeline = Toy(
        {
            "big": usual["teacher"],
            "small": DistillSpec(teacher="big", model="resnet8"),
            "int8": QuantizeSpec.model_validate({"from": "small"}),
            "edge": usual["edge"],
            "timing": usual["latency"],
        },
        baseline="big",
    )
    assert set(story(planned(pipeline, ran)).values()) == {"reuse"}


def test_a_moved_step_is_reused(ran):
    usual = digits(plain=FinetuneSpec(model="resnet8"))
    ran.ran(usual, planned(usual, ran))
    moved = Toy({"plain": usual.steps["plain"], **{name: one for name, one in usual.steps.items() if name != "plain"}})
    assert list(moved.steps) != list(usual.steps)
    assert set(story(planned(moved, ran)).values()) == {"reuse"}


def test_the_order_of_keys_and_short_forms_do_not_count(shelf):
    written = (
        {"teacher": "teacher", "temperature": 4, "model": "resnet8"},
        {"model": {"name": "resnet8"}, "temperature": 4.0, "teacher": "teacher"},
        {"model": {"widths": None, "name": "resnet8"}, "teacher": "teacher"},
    )
    keys = {planned(digits(student=DistillSpec.model_validate(one)), shelf).node("student").key for one in written}
    assert len(keys) == 1


@pytest.mark.parametrize("weights", ["none", None])
def test_untrained_is_untrained_said_or_not(shelf, weights):
    made = planned(digits(teacher=LoadSpec(weights=weights)), shelf).node("teacher")
    assert made.settings["weights"] is None


def test_no_path_and_no_name_of_a_step_is_in_a_key(shelf):
    pipeline = digits(teacher=LoadSpec(model="resnet20", weights="../data/a.pt"))
    made = planned(pipeline, shelf, contents=lambda step: {("weights",): "d" * 64} if step == "teacher" else {})
    assert made.node("teacher").settings == {
        "model": {"name": "resnet20", "widths": None}, "weights": "d" * 64, "key": None,
    }  # fmt: skip
    assert made.node("student").settings == {
        "model": {"name": "resnet8", "widths": None}, "weights": None, "key": None, "epochs": 10, "temperature": 4.0,
    }  # fmt: skip
    assert made.node("student").identity["inputs"] == {"teacher": made.node("teacher").key}


@pytest.mark.parametrize(
    ("changes", "step", "why"),
    [
        ({"task_parts": {**PARTS, "train": "t2"}}, "teacher", "new data"),
        ({"task_parts": {**PARTS, "augment": []}}, "teacher", "new augmentation"),
        ({"task_parts": {**PARTS, "preprocess": [], "validation": "v2"}}, "teacher", "new data, new preprocessing"),
        ({"task_parts": {**PARTS, "test": "x2"}}, "teacher.evaluation", "new data"),
        ({"device": "cuda:1"}, "teacher", "device cpu -> cuda"),
        ({"isa": "x86-64-v3"}, "teacher", "instruction set x86-64-v4 -> x86-64-v3"),
        ({"versions": {**VERSIONS, "onnxruntime": "1.4"}.get}, "int8", "after student, onnxruntime 1.31 -> 1.4"),
        ({"versions": {**VERSIONS, "torch": "2.16"}.get}, "teacher", "torch 2.15 -> 2.16"),
        ({"machine": "m2"}, "latency", "another machine"),
        ({"stages": {**STAGES, "finetune": replace(STAGES["finetune"], revision=2)}}, "teacher",
         "finetune works differently now (revision 2)"),
    ],
)  # fmt: skip
def test_why_a_step_runs(ran, changes, step, why):
    assert story(planned(digits(), ran, **changes))[step] == f"run {why}"


def test_fresh_is_about_the_content_so_a_twin_is_built_once(shelf):
    pipeline = digits(twin=FinetuneSpec(model="resnet20"))
    shelf.ran(pipeline, planned(pipeline, shelf))
    told = story(planned(pipeline, shelf, fresh="twin"))
    assert told["teacher"] == "run asked for with --fresh"
    assert told["twin"] == "reuse the same as teacher"


def test_with_fresh_other_damaged_artifacts_are_built_again(ran):
    damaged = {planned(digits(), ran).node(name).key for name in ("student", "int8")}
    find = ran.find

    def finds(key: str, rebuild: str = "") -> Any:
        if key in damaged:
            raise IntegrityError("artifact", "is damaged", f"build it again with `{rebuild}`")
        return find(key, rebuild)

    ran.find = finds
    with pytest.raises(IntegrityError, match="--fresh student"):
        planned(digits(), ran)
    told = story(planned(digits(), ran, fresh="student"))
    assert (told["student"], told["int8"]) == ("run asked for with --fresh", "run its artifact is damaged")
    assert told["teacher"] == told["student.evaluation"] == "reuse"


def test_what_does_not_depend_on_a_change_is_reused(ran):
    def rerun(**changes: Any) -> set[str]:
        return {node.name for node in planned(digits(), ran, **changes).nodes if node.status == "run"}

    assert rerun(machine="m2") == {"latency"}
    looks_at_test = {"teacher.evaluation", "student.evaluation", "int8", "int8.evaluation", "edge", "edge.evaluation"}
    assert rerun(task_parts={**PARTS, "test": "x2"}) == looks_at_test | {"latency", "comparison"}
    assert rerun(device="cpu:0", threads=2) == set()


def test_a_library_that_makes_something_of_the_data_counts_where_that_part_is_used(shelf):
    world = {"task_libraries": {"preprocess": ("pillow",), "augment": ("torchvision",)}}
    shelf.ran(digits(), planned(digits(), shelf, versions=lambda name: "1", **world))
    told = story(planned(digits(), shelf, versions=lambda name: "2" if name == "pillow" else "1", **world))
    assert told["teacher"].startswith("run pillow 1 -> 2")
    told = story(planned(digits(), shelf, versions=lambda name: "2" if name == "torchvision" else "1", **world))
    assert told["teacher"] == "run torchvision 1 -> 2"
    assert told["edge"] == "run after int8, student"


def test_a_part_that_the_settings_leave_alone_is_not_in_the_key(shelf):
    class Plain(FinetuneSpec):
        def unused(self) -> frozenset[str]:
            return frozenset({"augment", "seed"})

    identity = planned(digits(teacher=Plain(model="resnet20")), shelf).node("teacher").identity
    assert set(identity["task"]) == {"train", "validation", "preprocess"}
    assert "seed" not in identity


def test_settings_are_compared_one_by_one(ran):
    changed = digits(
        teacher=FinetuneSpec(model=CatalogueModel(name="resnet20", widths=(8, 16, 32)), epochs=20),
        latency=BenchmarkSpec(threads=(1, 2)),
        edge=ExportSpec.model_validate({"from": "int8", "softmax": True}),
    )
    told = story(planned(changed, ran))
    assert told["teacher"] == "run model.widths none -> [8, 16, 32], epochs 10 -> 20"
    assert told["latency"].startswith("run threads [1] -> [1, 2], after")
    assert told["edge"].startswith("run softmax false -> true, after")
    other = digits(teacher=FinetuneSpec(model="resnet56"))
    assert story(planned(other, ran))["teacher"] == "run model resnet20 -> resnet56"


def test_a_field_that_came_later_leaves_older_results_as_they_are(ran):
    class Learning(DistillSpec):
        method: Annotated[str, Later] = "hinton"

    plain = digits(student=Learning(teacher="teacher", model="resnet8"))
    assert set(story(planned(plain, ran)).values()) == {"reuse"}
    other = digits(student=Learning(teacher="teacher", model="resnet8", method="dkd"))
    assert story(planned(other, ran))["student"] == "run method none -> dkd"


def test_another_stage_is_the_whole_reason(ran):
    told = story(planned(digits(student=FinetuneSpec(model="resnet8", epochs=3)), ran))
    assert told["student"] == "run distill -> finetune"


def test_new_weights_and_a_new_teacher(shelf):
    pipeline = digits(teacher=LoadSpec(weights="a.pt"))
    first = planned(pipeline, shelf, contents=lambda step: {("weights",): "a" * 64} if step == "teacher" else {})
    shelf.ran(pipeline, first)
    told = story(planned(pipeline, shelf, contents=lambda step: {("weights",): "b" * 64} if step == "teacher" else {}))
    assert told["teacher"] == "run new weights"
    assert told["student"] == "run after teacher"


def test_a_seed_touches_what_is_random(ran):
    told = story(planned(replace(digits(), seed=1), ran))
    assert told["teacher"] == "run seed 0 -> 1"
    assert told["student"] == "run after teacher, seed 0 -> 1"
    assert told["teacher.evaluation"] == "run after teacher"
    again = digits(student=DistillSpec(teacher="teacher", model="resnet8", seed=7))
    assert story(planned(again, ran))["student"] == "run seed 0 -> 7"


def test_a_stage_whose_key_has_no_seed_gets_none(shelf):
    pipeline = replace(digits(teacher=LoadSpec(weights="a.pt")), seed=5)
    made = planned(pipeline, shelf, contents=lambda step: {("weights",): "a" * 64} if step == "teacher" else {})
    for node in made.nodes:
        assert node.seed == node.identity.get("seed", 0)
    assert [node.name for node in made.nodes if node.seed == 5] == ["student", "int8"]


def test_untrained_weights_depend_on_the_seed(shelf):
    keys = {planned(replace(digits(teacher=LoadSpec()), seed=seed), shelf).node("teacher").key for seed in (0, 1)}
    assert len(keys) == 2


def test_the_opset_counts_where_graphs_are_made(ran):
    told = story(planned(replace(digits(), onnx=Onnx(17)), ran))
    assert told["teacher"] == told["student"] == "reuse"
    assert told["teacher.evaluation"] == "run opset 21 -> 17"


def test_a_librarys_network_counts_its_version(shelf):
    versions = {**VERSIONS, "timm": "1.0"}
    pipeline = digits(teacher=FinetuneSpec(model="timm:efficientnet_lite0"))
    made = planned(pipeline, shelf, versions=versions.__getitem__)
    assert made.node("teacher").identity["libraries"] == {"timm": "1.0", "torch": "2.15"}
    assert made.node("student").identity["libraries"] == {"torch": "2.15"}


def test_interrupted_work_goes_on(shelf):
    key = planned(digits(), shelf).node("teacher").key
    shelf.saved[key] = "2026-11-22 12:30"
    assert story(planned(digits(), shelf))["teacher"] == "resume interrupted at 2026-11-22 12:30, goes on"


def test_what_was_cleaned_away_runs_again(ran):
    del ran.artifacts[planned(digits(), ran).node("student").key]
    told = story(planned(digits(), ran))
    assert told.pop("student") == "run its result is not in the store any more"
    assert set(told.values()) == {"reuse"}


def test_fresh_runs_one_step_and_reads_nothing_of_its_old_result(ran):
    key = planned(digits(), ran).node("student").key
    ran.asked.clear()
    told = story(planned(digits(), ran, fresh="student"))
    assert told.pop("student") == "run asked for with --fresh"
    assert set(told.values()) == {"reuse"}
    assert key not in [asked for asked, _ in ran.asked]
    told = story(planned(digits(), ran, fresh="student.evaluation"))
    assert told["student.evaluation"] == "run asked for with --fresh"


def test_until_keeps_the_step_its_evaluation_and_what_they_need(shelf):
    assert list(story(planned(digits(), shelf, until="teacher"))) == ["teacher", "teacher.evaluation"]
    pipeline = digits(plain=FinetuneSpec(model="resnet8"))
    assert list(story(planned(pipeline, shelf, until="int8"))) == [
        "teacher", "teacher.evaluation", "student", "student.evaluation", "int8", "int8.evaluation",
    ]  # fmt: skip
    assert "comparison" not in story(planned(pipeline, shelf, until="edge"))
    assert len(story(planned(pipeline, shelf, until="latency"))) == 11


def test_until_changes_no_key(shelf):
    whole, part = planned(digits(), shelf), planned(digits(), shelf, until="int8")
    assert all(whole.node(node.name).key == node.key for node in part.nodes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"until": "studnet"}, '--until: there is no step "studnet"; did you mean student?'),
        ({"fresh": "xyz"}, '--fresh: there is no step "xyz"; name one of teacher, student, int8, edge, latency'),
        (
            {"until": "student", "fresh": "edge"},
            '--fresh: "edge" is not needed for --until student; leave one of the two out',
        ),
    ],
)
def test_steps_that_are_not_there(shelf, changes, said):
    with pytest.raises(InputError) as caught:
        planned(digits(), shelf, **changes)
    assert caught.value.sentence() == said


def test_twins_run_once(shelf):
    made = planned(digits(twin=FinetuneSpec(model="resnet20")), shelf)
    assert made.node("twin").key == made.node("teacher").key
    assert story(made)["twin"] == "reuse the same as teacher"
    assert story(made)["twin.evaluation"] == "reuse the same as teacher.evaluation"


def test_another_number_of_threads_is_said_and_reused(ran):
    assert set(story(planned(digits(), ran, threads=4)).values()) == {"reuse made with 2 threads"}
    assert set(story(planned(digits(), ran, threads=2)).values()) == {"reuse"}


def test_the_command_that_rebuilds(shelf):
    made = planned(digits(), shelf)
    commands = dict(shelf.asked)
    assert commands[made.node("student").key] == "compress run pipelines/digits.yaml --fresh student"
    key = made.node("int8.evaluation").key
    assert made.rebuild(key) == "compress run pipelines/digits.yaml --fresh int8.evaluation"
    other = planned(digits(), shelf, command="compress run x.yaml --set seed=1")
    assert other.rebuild(other.node("edge").key) == "compress run x.yaml --set seed=1 --fresh edge"


def test_inputs_of_nodes_are_the_nodes_of_the_plan(ran):
    made = planned(digits(), ran)
    for node in made.nodes:
        assert all(one is made.node(one.name) for one in node.inputs.values())
    assert made.keys == {node.key for node in made.nodes}


def test_a_part_that_the_task_lacks_is_a_bug(shelf):
    with pytest.raises(ValueError, match='stage finetune uses "augment" of the task'):
        planned(digits(), shelf, task_parts={"train": 1, "validation": 1, "test": 1, "preprocess": 1})


def test_planning_is_the_same_every_time(shelf):
    first, second = planned(digits(), shelf), planned(digits(), shelf)
    assert [node.key for node in first.nodes] == [node.key for node in second.nodes]
    assert first.task_fingerprint == second.task_fingerprint
    assert first.task_fingerprint != planned(digits(), shelf, task_parts={**PARTS, "test": 0}).task_fingerprint
