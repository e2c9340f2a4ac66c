"""The order of classes: as given, as usual, and the one that the weights mean."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from compressor.data.class_order import at_least, given, mistaken, ordered, usual
from compressor.errors import InputError

NUMBERS = ["1", "10", "11", "12", "2", "3"]


def refusal(known: list[str], wanted: list[str]) -> str:
    with pytest.raises(InputError) as caught:
        ordered(known, wanted)
    return caught.value.sentence()


def test_the_usual_orders() -> None:
    assert usual(["b2", "a10", "B1", "a9"]) == {
        "plain order, as ImageFolder has it": ("B1", "a10", "a9", "b2"),
        "natural order": ("a9", "a10", "B1", "b2"),
        "order without regard to case": ("a10", "a9", "B1", "b2"),
        "order of their numbers": ("B1", "b2", "a9", "a10"),
    }


@pytest.mark.parametrize("text", ["b\na\n\n", '["b", "a"]', "\ufeffb\r\na\r\n"])
def test_a_list_in_a_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8", newline="")
    assert given(Path("classes.txt"), tmp_path) == ("b", "a")


def test_numbers_in_a_json_list_are_names(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text("[2, 1]")
    assert given(Path("classes.json"), tmp_path) == ("2", "1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file"),
        (b"", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[1, ", "is no JSON list"),
        (b"[" * 100_000, "is no JSON list"),
        (b"[[1], 2]", "lists something that is no name"),
        (b"[true, false]", "lists something that is no name"),
    ],
)
def test_a_file_that_lists_no_names(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "classes.txt").write_bytes(content)
    with pytest.raises(InputError) as caught:
        given(Path("classes.txt"), tmp_path)
    assert caught.value.sentence().startswith("task.data.classes: ")
    assert words in caught.value.sentence()


def test_a_wrong_list_names_what_is_nearest() -> None:
    assert ordered(["a", "b"], ["b", "a"]) == ("b", "a")
    assert refusal(["cat", "dog"], ["cat", "dogg"]).startswith(
        "task.data.classes: there is no class folder 'dogg'; did you mean 'dog'"
    )
    assert "there is no class folder '7'; did you mean '007' (in quotes)" in refusal(["007", "x"], ["7", "x"])
    assert "no class folder 'zzz'; leave it out; there are 'dog', 'cat'" in refusal(
        ["cat", "dog"], ["cat", "dog", "zzz"]
    )
    assert "does not list 'dog', and there is such a class folder; write all classes" in refusal(
        ["cat", "dog"], ["cat"]
    )
    assert "'cat' stands there twice" in refusal(["cat", "dog"], ["cat", "cat", "dog"])


def test_the_tail_of_a_binomial_by_hand() -> None:
    assert at_least(3, 3, 0.2) == pytest.approx(0.008)
    assert at_least(2, 3, 0.5) == pytest.approx(0.5)
    assert at_least(0, 5, 0.3) == pytest.approx(1)


def answers_of(meant: list[str], classes: list[str], targets: np.ndarray) -> np.ndarray:
    """What a network whose outputs are in the order `meant` answers, if it is always right."""
    return np.array([meant.index(classes[target]) for target in targets])


def test_a_network_of_another_order_is_found_and_the_order_named() -> None:
    targets = np.arange(18) % 6
    found = mistaken(answers_of(sorted(NUMBERS, key=int), NUMBERS, targets), targets, NUMBERS)

    assert found is not None
    assert (found.order, found.right, found.before) == ("natural order", 1.0, 1 / 6)
    sentence = found.error("step net").sentence()
    assert sentence == (
        "step net: is right on 16.7% of 18 validation samples, and on 100.0% with the classes in natural order; "
        'write data: {…, classes: ["1", "2", "3", "10", "11", "12"]}'
    )
    assert json.loads(sentence[sentence.index("[") : -1]) == sorted(NUMBERS, key=int)


def test_two_classes_are_decided_by_a_fair_coin() -> None:
    targets = np.arange(20) % 2
    assert mistaken(1 - targets, targets, ["10", "9"]) is not None
    assert mistaken((1 - targets)[:8], targets[:8], ["10", "9"]) is None, "p is 1/256"
    assert mistaken(1 - targets, targets, ["a", "b"]) is None, "all usual orders are one"


def test_a_network_that_is_right_or_merely_bad_is_left_alone() -> None:
    targets, random = np.arange(600) % 6, np.random.default_rng(0)
    natural = answers_of(sorted(NUMBERS, key=int), NUMBERS, targets)

    assert mistaken(targets, targets, NUMBERS) is None
    assert mistaken(random.integers(0, 6, 600), targets, NUMBERS) is None
    assert mistaken(np.zeros(600, int), targets, NUMBERS) is None
    assert mistaken(np.where(np.arange(600) % 5 < 2, targets, natural), targets, NUMBERS) is None, "right on 2/n"


def test_chance_alone_seldom_accuses() -> None:
    random, accused = np.random.default_rng(1), 0
    for _ in range(2000):
        targets = random.integers(0, 6, 40)
        accused += mistaken(random.integers(0, 6, 40), targets, NUMBERS) is not None
    assert accused <= 2000 * 4 * 0.001 + 4 * math.sqrt(8)
