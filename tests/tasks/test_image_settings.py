"""The task as the file writes it: short forms, ranges, and mistakes said at their place."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from compressor.tasks import TASKS
from compressor.tasks.image_classification import ImageClassificationSpec

SCALE = [{"scale": 255}]


def spec(**settings: Any) -> ImageClassificationSpec:
    return ImageClassificationSpec.model_validate({"type": "image-classification", "data": "digits", **settings})


def mistakes(**settings: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        spec(**settings)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


def test_short_forms_stand_for_long_ones() -> None:
    short = spec(data="fashion-mnist", validation=0.2, augment=["horizontal_flip", {"random_crop": None}])
    long = spec(
        data={"name": "fashion_mnist"},
        validation={"from": "train", "size": 0.2},
        augment=[{"horizontal_flip": {}}, {"random_crop": {"padding": 4}}],
    )
    assert short == long
    assert short.augment_steps() == [{"horizontal_flip": {}}, {"random_crop": {"padding": 4}}]


@pytest.mark.parametrize("mode", ["python", "json"])
def test_what_is_written_back_reads_the_same(mode: Any) -> None:
    given = spec(
        data={"name": "cifar10", "root": "sets"}, validation={"from": "test", "size": 2000},
        preprocess=[{"resize": {"shortest": 40}}, {"center_crop": [32, 32]}, *SCALE], augment=["trivial_augment"],
    )  # fmt: skip
    written = given.model_dump(mode=mode, by_alias=True)
    assert written["preprocess"][0] == {"resize": {"shortest": 40, "interpolation": "bilinear"}}
    assert ImageClassificationSpec.model_validate(written) == given


def test_whole_numbers_stay_whole() -> None:
    assert spec(preprocess=SCALE).preprocess_steps() == SCALE
    assert str(spec(preprocess=SCALE).preprocess_steps()) == "[{'scale': 255}]"
    assert spec(validation=100).validation.size == 100
    assert isinstance(spec(validation=100).validation.size, int)


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        ({"data": "cifar11"}, "data.name", "'cifar10'"),
        ({"data": {}}, "data", "write one of name (a set) and folder"),
        ({"data": {"name": "digits", "folder": "x"}}, "data", "write one of name"),
        ({"data": {"name": "digits", "root": "x"}}, "data", "root has no effect on digits"),
        ({"data": {"name": "mnist", "broken": "skip"}}, "data", "broken has no effect on mnist"),
        ({"data": {"folder": "x", "download": True}}, "data", "download has no effect on a folder"),
        ({"data": {"folder": "x", "test": 0}}, "data.test", "a share between 0 and 1"),
        ({"validation": 1.5}, "validation.size", "a share between 0 and 1, or a whole number"),
        ({"validation": 1.0}, "validation.size", "1.0 is neither a share nor a count; "),
        ({"validation": 100.0}, "validation.size", "or a whole number of samples, without a point"),
        ({"validation": float("nan")}, "validation.size", "nan is neither"),
        ({"data": {"folder": "x", "test": 1.0}}, "data.test", "1.0 is neither"),
        ({"validation": "a tenth"}, "validation", "Validation"),
        ({"validation": {"from": "test", "size": "many"}}, "validation.size", "a share below 1, or a count"),
        ({"validation": {"from": "training"}}, "validation.from", "'train' or 'test'"),
        ({"preprocess": [{"resize": {"shortest": 0}}]}, "preprocess.0.resize.shortest", "greater than or equal to 1"),
        ({"preprocess": [{"resize": {}}]}, "preprocess.0.resize", "one of shortest, longest and exact"),
        ({"preprocess": [{"rotate": 1}]}, "preprocess.0.rotate", "Extra inputs"),
        ({"preprocess": [{"scale": 1, "mean": [0]}]}, "preprocess.0", "holds mean, scale; write one of"),
        ({"preprocess": [*SCALE, {"center_crop": [8, 8]}]}, "preprocess", "center_crop: comes after scale"),
        ({"preprocess": [{"mean": [0.5]}, {"std": [1, 1, 1]}]}, "preprocess", "mean has 1, std has 3"),
        ({"preprocess": [{"scale": 1e-50}]}, "preprocess", "scale: is 1e-50, with which float32 numbers cannot"),
        ({"preprocess": [{"scale": 1e300}]}, "preprocess", "scale: is 1000"),
        ({"preprocess": [*SCALE, {"std": [1, 1e39, 1]}]}, "preprocess", "std: is [1.0, 1e+39, 1.0]; write a list"),
        ({"preprocess": [{"std": [1e-40]}]}, "preprocess", "std: is [1e-40], with which"),
        ({"preprocess": [{"mean": [1e30]}]}, "preprocess", "mean: is [1e+30], with which"),
        ({"augment": ["flip"]}, "augment.0.flip", "Extra inputs"),
        ({"augment": ["cutout"]}, "augment.0", "cutout alone does not say how; write {cutout: {size: 8}}"),
        ({"augment": ["color_jitter"]}, "augment.0", "color_jitter alone does not say how; write {color_jitter: {"),
        ({"augment": [{"cutout": {}}]}, "augment.0.cutout.size", "Field required"),
        ({"augment": [{"random_resized_crop": {"ratio": [1e-320, 1]}}]},
         "augment.0.random_resized_crop", "ratio is [1e-320, 1.0], which no picture has"),
        ({"augment": [{"color_jitter": {}}]}, "augment.0.color_jitter", "changes nothing"),
        ({"augment": ["horizontal_flip", "horizontal_flip"]}, "augment", "horizontal_flip stands there twice"),
        ({"augment": ["horizontal_flip", "random_resized_crop"]}, "augment", "put it first"),
        ({"augment": [{"random_resized_crop": {"scale": [1, 0.5]}}]},
         "augment.0.random_resized_crop", "smaller number first"),
        ({"prepocess": []}, "prepocess", "Extra inputs"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_once_and_at_its_place(settings: dict[str, Any], place: str, words: str) -> None:
    ((found, said),) = mistakes(**settings)
    assert found == place
    assert words in said


def test_the_schema_knows_the_short_forms() -> None:
    schema = ImageClassificationSpec.model_json_schema()
    assert schema["$defs"]["PreprocessItem"]["maxProperties"] == 1
    bare = next(one for one in schema["properties"]["augment"]["items"]["anyOf"] if "enum" in one)
    assert "horizontal_flip" in bare["enum"]
    names = next(one for one in schema["properties"]["data"]["anyOf"] if "enum" in one)
    assert {"digits", "fashion-mnist"} <= set(names["enum"])


def test_every_field_says_what_it_means() -> None:
    schema = ImageClassificationSpec.model_json_schema()
    for owner, one in [("task", schema), *schema["$defs"].items()]:
        for name, field in one.get("properties", {}).items():
            assert field.get("description"), f"{owner}.{name}"


def test_the_registry_names_each_task_as_its_spec_does() -> None:
    for name, kind in TASKS.items():
        assert kind.model_fields["type"].default == name
        assert list(kind.metrics) == [metric.name for metric in kind.metrics.values()] != []
