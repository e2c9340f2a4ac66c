"""`compress init`: whatever it writes has no mistakes, and it refuses what no file can hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.api import init
from compressor.errors import InputError
from compressor.pipeline.file import spec
from compressor.pipeline.file.budget import Limit


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "my weights.pt").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("data", [*init.SETS, "pictures"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model": "resnet20"},
        {"model": "timm:efficientnet_lite0"},
        {"model": "resnet56", "checkpoint": Path("my weights.pt")},
        {"goal": "accuracy>=0.9,accuracy_drop<=0.01,latency_p50_ms<=5,speedup>=2"},
    ],
    ids=lambda options: "-".join(options) or "nothing",
)
def test_what_it_writes_can_be_read(place: Path, data: str, options: dict[str, Any]) -> None:
    init.init(Path("first.yaml"), data=data, **options)
    pipeline = spec.load("first.yaml")
    assert (pipeline.name, pipeline.baseline, pipeline.ship) == ("first", "teacher", "edge")
    assert pipeline.budget
    assert not Path("first.yaml").read_text().count("\t")


def test_options_fill_it_in(place: Path) -> None:
    (place / "runs").mkdir()
    out = Path("runs/A try.yaml")
    init.init(
        out,
        model="resnet56",
        checkpoint=Path("my weights.pt"),
        data="pictures",
        goal="accuracy_drop<=0.01, size_mb <= 1e-1",
    )
    pipeline = spec.load(out)
    task: Any = pipeline.task
    teacher: Any = pipeline.steps["teacher"]
    assert pipeline.name == "a-try"
    assert (teacher.stage, teacher.model, teacher.weights) == ("load", "resnet56", "../my weights.pt")
    assert task.data.folder == Path("../pictures")
    assert pipeline.budget == (Limit("accuracy", "max_drop", 0.01), Limit("size_mb", "max", 0.1))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("123.yaml", "123"), ("null.yaml", "null"), ("true.yaml", "true"), ("1e3.yaml", "1e3"), ("É1.yaml", "1"),
        ("été 😀.yaml", "t"), ("~.yaml", "pipeline"), ("on.yaml", "on"),
    ],
)  # fmt: skip
def test_a_name_that_yaml_would_read_as_something_else_is_quoted(place: Path, file: str, name: str) -> None:
    init.init(Path(file))
    assert spec.load(file).name == name


@pytest.mark.parametrize("name", ["null", "1e3", "2020", "a: b", "été", "😀", "a\nb", 'it\'s "so"', "x" * 200])
def test_a_folder_of_pictures_is_found_again_whatever_its_name(place: Path, name: str) -> None:
    (place / name).mkdir()
    init.init(Path("first.yaml"), data=name)
    task: Any = spec.load("first.yaml").task
    assert task.data.folder == Path(name)


def test_the_schema_lies_beside_it_and_is_named_in_its_first_line(place: Path) -> None:
    init.init(Path("first.yaml"))
    first, *_ = Path("first.yaml").read_text().splitlines()
    assert first == f"# yaml-language-server: $schema={init.SCHEMA_FILE}"
    assert json.loads(Path(init.SCHEMA_FILE).read_text())["properties"]["version"]["const"] == 1


def test_a_file_that_is_there_stays_as_it_is(place: Path) -> None:
    Path("first.yaml").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        init.init(Path("first.yaml"))
    assert Path("first.yaml").read_text() == "mine"
    with pytest.raises(InputError, match="its folder does not exist"):
        init.init(Path("nowhere/first.yaml"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"data": "cifar11"}, '--data: "cifar11" is no set and no folder; did you mean "cifar10"?'),
        ({"checkpoint": Path("my weights.pt")}, "--checkpoint: weights alone do not say which network they are for; "),
        ({"model": "resnet56", "checkpoint": Path("none.pt")}, "--checkpoint: there is no file none.pt; "),
        ({"goal": "acuracy>=1"}, '--goal: there is no measure "acuracy"; did you mean "accuracy"?'),
        ({"goal": "accuracy=0.9"}, '--goal: "accuracy=0.9" is not a limit; '),
        ({"goal": "accuracy>=0.9,"}, '--goal: "" is not a limit; '),
        ({"goal": "accuracy>=e"}, '--goal: "accuracy>=e" is not a limit; '),
        ({"goal": "size_mb_drop<=1"}, '--goal: "size_mb_drop<=1" is not a limit; '),
        ({"goal": "accuracy_drop>=1"}, '--goal: "accuracy_drop>=1" is not a limit; '),
        ({"goal": "accuracy>=1.5"}, "--goal: budget.accuracy.min: 1.5 is out of range; "),
        ({"goal": "accuracy>=0.9, accuracy<=0.8"}, "--goal: budget.accuracy: nothing is at least 0.9 and at most 0.8"),
        ({"goal": "accuracy>=0.9,accuracy>=0.8"}, '--goal: limits accuracy twice in the same way ("accuracy>=0.8"); '),
        ({"out": Path("a\nb.yaml")}, "FILE: 'a\\nb.yaml' has a character that no text can hold; "),
        ({"out": Path("a\udcff.yaml")}, "FILE: 'a\\udcff.yaml' has a character that no text can hold; "),
    ],
)
def test_options_that_no_file_can_hold_are_refused(place: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError) as caught:
        init.init(**{"out": Path("first.yaml"), **options})
    assert caught.value.sentence().startswith(told)
    assert not list(place.glob("*.yaml"))


def test_an_unknown_model_is_refused(place: Path) -> None:
    with pytest.raises(InputError, match=r"--model: .*resnet57.* did you mean .resnet56.\?"):
        init.init(Path("first.yaml"), model="resnet57")
