"""When the order of classes is held to be another one, at the limits of the rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compressor.data.class_order import Reordered, at_least, given, mistaken, ordered, usual
from compressor.errors import InputError

THREE = ["1", "10", "2"]  # naturally 1, 2, 10: a network of that order answers 2 for "10" and 1 for "2"


def swapped(right: int, wrong: int) -> Reordered | None:
    """Of a network in natural order `right` samples of "1" and `wrong` ones of the others are seen."""
    targets = np.array([0] * right + [1, 2] * (wrong // 2) + [1] * (wrong % 2))
    answers = np.array([0] * right + [2, 1] * (wrong // 2) + [2] * (wrong % 2))
    return mistaken(answers, targets, THREE)


def test_less_than_two_thirds_of_three_classes_are_asked_and_chance_must_be_below_a_thousandth() -> None:
    """A wrong answer of three classes is that of the other order in 1/2: 2^-9 is more than 0.001, 2^-10 less."""
    assert swapped(0, 9) is None
    assert swapped(0, 10) == Reordered("natural order", ("1", "2", "10"), 1.0, 0.0, 10)
    assert swapped(19, 10) == Reordered("natural order", ("1", "2", "10"), 1.0, 19 / 29, 29)
    assert swapped(20, 10) is None, "exactly two thirds"


def test_two_classes_need_less_than_half() -> None:
    """p of ten of ten is 1/1024, of nine of nine 1/512; of 16 where 15 are wrong 17/65536, right on one of 16."""
    names = ["10", "9"]
    targets = np.array([0, 1] * 8)
    assert mistaken(1 - targets[:10], targets[:10], names) is not None
    assert mistaken(1 - targets[:9], targets[:9], names) is None
    found = mistaken(np.append(1 - targets[:15], targets[15]), targets, names)
    assert found is not None
    assert (found.before, found.right, found.samples) == (1 / 16, 15 / 16, 16)
    half = np.array([0] * 40 + [1] * 40)
    assert mistaken(half, np.array([0, 1] * 40), names) is None, "right on half"
    assert mistaken(np.array([], int), np.array([], int), names) is None
    assert mistaken(1 - targets, targets, ["9"]) is None


def test_answers_that_know_nothing_say_nothing_of_the_order() -> None:
    """The same answer to everything is right in another order as often as its class is frequent, 70 of 100 or all."""
    assert mistaken(np.ones(100, int), np.array([0] * 70 + [1] * 30), ["10", "9"]) is None
    assert mistaken(np.ones(100, int), np.zeros(100, int), ["10", "9"]) is None
    assert mistaken(np.full(100, 2), np.array([0] * 20 + [1] * 80), THREE) is None


def test_unbalanced_classes_have_an_order_nevertheless() -> None:
    """Answers agree by frequency in 0.7^2 + 0.3^2 = 0.58: 58 of 100 are expected, and all are seen."""
    targets = np.array([0] * 70 + [1] * 30)
    assert mistaken(1 - targets, targets, ["10", "9"]) is not None


def test_half_of_what_was_wrong_must_be_right() -> None:
    """Twelve classes: ten wrong answers that natural order explains, of twenty and of twenty-one."""
    names = sorted(map(str, range(1, 13)))  # 1, 10, 11, 12, 2, …
    natural = sorted(names, key=int)
    explained = [(natural.index(name), place) for place, name in enumerate(names) if natural.index(name) != place]
    answers, targets = np.array(explained[:10]).T
    other = (targets[0] + 1) % 12 if (targets[0] + 1) % 12 != answers[0] else (targets[0] + 2) % 12
    for wrong, told in ((10, True), (11, False)):
        found = mistaken(
            np.concatenate([answers, np.full(wrong, other)]),
            np.concatenate([targets, np.full(wrong, targets[0])]),
            names,
        )
        assert (found is not None) is told


def test_the_order_that_explains_the_most_is_named() -> None:
    """By number b1, a2, c3; naturally a2, b1, c3, which is the plain order; without case the same."""
    names = ["B1", "a2", "c3"]
    assert usual(names)["order without regard to case"] == ("a2", "B1", "c3")
    assert usual(names)["order of their numbers"] == ("B1", "a2", "c3")
    targets = np.array([0, 1] * 10)
    found = mistaken(1 - targets, targets, names)
    assert found is not None
    assert (found.order, found.classes) == ("natural order", ("a2", "B1", "c3"))


def test_natural_order_puts_words_before_numbers_and_short_ones_first() -> None:
    assert usual(["a0", "a", "a10", "a2", "b"])["natural order"] == ("a", "a0", "a2", "a10", "b")
    assert usual(["A1", "a1"])["natural order"] == ("A1", "a1")


def test_the_tail_at_its_ends() -> None:
    """2 or 3 of 3 with 1/4: 3 · 1/16 · 3/4 + 1/64 = 10/64."""
    assert at_least(2, 3, 0.25) == pytest.approx(10 / 64)
    assert at_least(4, 3, 0.25) == 0
    assert at_least(0, 300, 0.01) <= 1.0


def test_many_classes_go_into_a_file() -> None:
    for count, told in ((24, "write data: {…, classes: ["), (25, "write the names in that order into a file")):
        names = tuple(f"n{place}" for place in range(count))
        assert Reordered("natural order", names, 1.0, 0.0, 10).error("step net").todo.startswith(told)


def test_a_list_of_sixteen_megabytes_is_the_largest(tmp_path: Path) -> None:
    names = [f"name {place}" for place in range(1000)]
    (tmp_path / "n.txt").write_text("\n".join(names))
    assert given(Path("n.txt"), tmp_path) == tuple(names)
    with (tmp_path / "large.txt").open("wb") as stream:
        stream.truncate(2**24 + 1)
    with pytest.raises(InputError, match="larger than 16,777,216 bytes"):
        given(Path("large.txt"), tmp_path)


def test_a_name_of_thousands_of_digits_has_its_place() -> None:
    """Python refuses to read more than 4,300 digits as one number."""
    long = "9" * 5_000
    assert usual([long, "10", "2"])["natural order"] == ("2", "10", long)
    assert usual([long, "10", "2"])["order of their numbers"] == ("2", "10", long)


@pytest.mark.parametrize(("known", "wanted"), [("3", "²"), ("³", "²"), ("9" * 5_000, "8" * 5_000)])
def test_digits_that_are_no_number_are_a_name_like_any_other(known: str, wanted: str) -> None:
    with pytest.raises(InputError, match="there is no class folder"):
        ordered([known], [wanted])
