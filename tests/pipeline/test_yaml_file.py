"""Reading: the scalars of YAML 1.2, the line of every key and `--set`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compressor.errors import InputError
from compressor.pipeline.file import yaml_file
from compressor.pipeline.file.document import Document


def scan(text: str, *sets: str) -> Document:
    return yaml_file.scan(text, Path("x.yaml"), sets)


def sentences(text: str, *sets: str) -> list[str]:
    return [mistake.error.sentence() for mistake in scan(text, *sets).mistakes]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E+2", -150.0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("yes", "yes"),
        ("No", "No"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"),
        ("=", "="),
        ('"1"', "1"),
        ("timm:resnet18", "timm:resnet18"),
        ("[1, 1e2]", [1, 100.0]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: Any) -> None:
    read = scan(f"key: {written}").data["key"]
    assert read == value
    assert type(read) is type(value)


def test_words_that_yaml_1_1_takes_for_truth_are_names() -> None:
    assert scan("on: 1\nno: 2\ny: 3").data == {"on": 1, "no": 2, "y": 3}


def test_every_key_and_item_knows_its_line() -> None:
    document = scan("a:\n  b: 1\n  c:\n  - x\n  - {d: 2,\n     e: 3}\n")
    assert document.lines == {
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
        ("a", "c", 1, "d"): 5,
        ("a", "c", 1, "e"): 6,
    }


def test_a_mistake_below_the_last_known_key_takes_that_keys_line() -> None:
    mistake = scan("a:\n  b: {c: 1}\n").mistake(("a", "b", "missing", 0), "is wrong", "mend it")
    assert mistake.error.sentence() == "x.yaml:2: a.b.missing[0]: is wrong; mend it"


def test_anchors_and_merges_bring_values_with_their_lines() -> None:
    document = scan("base: &common\n  epochs: 1\n  ema: 2\nstep:\n  <<: *common\n  ema: 3\nlist: [*common]\n")
    assert document.data["step"] == {"epochs": 1, "ema": 3}
    assert document.lines["step", "epochs"] == 2
    assert document.lines["step", "ema"] == 6
    assert document.data["list"] == [{"epochs": 1, "ema": 2}]


@pytest.mark.parametrize("text", ["a: &a {b: *a}", "a: &a [*a]"])
def test_a_value_that_holds_itself_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="or itself"):
        scan(text)


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InputError, match="more than 50000 values"):
        scan("\n".join(lines))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        scan("[" * 5000)


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan", "1e999", "9" * 5000])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    (sentence,) = sentences(f"a: {number}")
    assert "is not a finite number" in sentence


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x0a\xff\xfe")
    with pytest.raises(InputError, match="byte 2 is not UTF-8 text"):
        yaml_file.read(path)


def test_no_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        yaml_file.read(tmp_path / "x.yaml")
    with pytest.raises(InputError, match="is a folder"):
        yaml_file.read(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\n")
    assert yaml_file.read(path).data == {"version": 1}


def test_read_raises_all_mistakes_of_form_together(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\na: 2\n1: 3\n")
    with pytest.raises(InputError) as caught:
        yaml_file.read(path)
    assert len(caught.value.sentences()) == 2


FILE = "steps:\n  big: {epochs: 1, threads: [1, 2]}\n  small: {epochs: 2}\ntask: {data: digits}\n"


def test_set_changes_one_value_and_reads_it_as_yaml() -> None:
    document = scan(FILE, "steps.big.epochs=5", "steps.small.model={name: a, widths: [1, 2]}", "steps.big.threads.1=4")
    assert document.data["steps"]["big"] == {"epochs": 5, "threads": [1, 4]}
    assert document.data["steps"]["small"]["model"] == {"name": "a", "widths": [1, 2]}


def test_set_makes_the_mappings_on_its_way() -> None:
    assert scan(FILE, "budget.accuracy.min=0.9").data["budget"] == {"accuracy": {"min": 0.9}}


def test_the_last_set_of_a_value_counts_and_is_the_one_blamed() -> None:
    document = scan(FILE, "steps.big.epochs=5", "steps.big.epochs=6")
    assert document.data["steps"]["big"]["epochs"] == 6
    assert document.mistake(("steps", "big", "epochs"), "bad").error.sentence() == "--set steps.big.epochs=6: bad"


def test_a_mistake_inside_a_set_value_names_both() -> None:
    document = scan(FILE, "steps.big={epochs: x}")
    assert document.mistake(("steps", "big", "epochs"), "bad").error.sentence() == (
        "--set steps.big={epochs: x}: steps.big.epochs: bad"
    )


def test_set_leaves_the_text_alone() -> None:
    assert scan(FILE, "steps.big.epochs=5").text == FILE


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("steps.bag.epochs=1", 'the file has no step "bag"; did you mean "big"?'),
        ("steps.zzz.epochs=1", 'the file has no step "zzz"; its steps are "big", "small"'),
        ("steps.big", "is not of the form a.b=value; write it like --set steps.student.temperature=2"),
        ("steps..big=1", "is not of the form a.b=value; write it like --set steps.student.temperature=2"),
        ("steps.big.threads.2=1", 'steps.big.threads is a list of 2, without "2"; name a position from 0'),
        ("steps.big.threads.first=1", 'steps.big.threads is a list of 2, without "first"; name a position from 0'),
        ("steps.big.threads.²=1", 'steps.big.threads is a list of 2, without "²"; name a position from 0'),
        (
            "task.data.root=/a",
            'task.data is "digits" in the file and has no fields; set task.data as a whole, or write it as a mapping',
        ),
        ("steps.big.epochs=[1", '"[1" is not YAML'),
    ],
)
def test_a_set_that_fits_nowhere_names_itself(option: str, told: str) -> None:
    (sentence,) = sentences(FILE, option)
    assert sentence.startswith(f"--set {option}: {told}")
