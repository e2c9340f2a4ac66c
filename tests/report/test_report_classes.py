"""Many classes: columns and the most frequent mistakes in place of matrices, folds in place of a table."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.errors import InputError
from compressor.evaluation.evaluation import Evaluation, Predictions
from compressor.report.contract import classes
from compressor.report.contract.classes import Counted
from compressor.report.contract.details import Confusion, Details
from compressor.report.contract.report import Report
from compressor.report.judgement.build import build
from compressor.report.pages import html as pages
from compressor.report.pages import markdown
from tests.report.conftest import run_facts

MANY, EACH = 1_000, 50
NAMES = [f"n0{number:04d} a bird, or what is like <one> & 'other'" for number in range(MANY)]
Figures = dict[tuple[str, str], str]


def spread(step: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and answers of a step, int64 [50,000]; some classes are hard, and mistakes fall on few others."""
    random = np.random.default_rng(0)
    targets = np.repeat(np.arange(MANY), EACH)
    hard = random.beta(2, 6, MANY)[targets] * (0.8 if step == "teacher" else 1.2)
    random = np.random.default_rng(len(step))
    wrong = random.random(len(targets)) < hard
    return targets, np.where(wrong, (targets + random.integers(1, 12, len(targets)) ** 2) % MANY, targets)


def cells(step: str) -> dict[str, list[int]]:
    targets, answers = spread(step)
    codes, counts = np.unique(targets * MANY + answers, return_counts=True)
    return {"targets": (codes // MANY).tolist(), "answers": (codes % MANY).tolist(), "counts": counts.tolist()}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A run of six models that know a thousand classes."""
    facts = run_facts(tmp_path_factory.mktemp("many"))
    for row in facts.rows:
        breakdown = {"per_class": [{"name": name} for name in NAMES], "cells": cells(row.step)}
        before = Evaluation.read(row.evaluation)
        held = Predictions(dict(before.predictions.arrays))
        before.model_copy(update={"breakdown": breakdown, "predictions": held}).write(row.evaluation)
    return build(facts)


def test_a_thousand_classes_of_six_models_are_small_files(many: Report, drawn: Figures) -> None:
    page = pages.page(many, drawn)
    for text in (many.text(), page, markdown.page(many)):
        assert len(text.encode()) < 1_500_000
    assert page.count("<td") < 10_000


def test_every_class_of_every_model_is_in_the_columns(many: Report) -> None:
    found = json.loads(many.text())["details"]
    assert found["confusion"] == {}
    assert sorted(found["per_class"]) == ["edge", "teacher"]
    assert [len(found["per_class"][step]) for step in ("edge", "teacher")] == [MANY, MANY]
    columns = found["classes"]
    assert columns["form"].startswith("more than 128 classes: `confusion` is empty")
    assert columns["names"] == NAMES
    assert columns["samples"] == [EACH] * MANY
    assert list(columns["right"]) == ["teacher", "plain", "student", "slim", "int8", "edge"]
    for step, right in columns["right"].items():
        targets, answers = spread(step)
        assert right == np.bincount(targets[targets == answers], minlength=MANY).tolist()
        wrong = columns["confused"][step]
        assert len(wrong["counts"]) == classes.MOST_PAIRS
        assert wrong["counts"] == sorted(wrong["counts"], reverse=True)
        assert sum(wrong["counts"]) + wrong["left_out_samples"] == (targets != answers).sum()
        pairs = np.unique((targets * MANY + answers)[targets != answers])
        assert len(wrong["counts"]) + wrong["left_out_pairs"] == len(pairs)
        assert set(wrong["targets"]) == set(targets[targets != answers].tolist())


def test_the_weakest_classes_come_first_in_folds(many: Report, drawn: Figures) -> None:
    page = pages.page(many, drawn)
    start = page.index('<h2 id="every-class">All 1,000 classes</h2>')
    section = page[start : page.index("</section>", start)]
    folds = re.findall(r"<details><summary>(.*?)</details>", section, re.S)
    assert len(folds) == 10
    named = [html.unescape(name) for fold in folds for name in re.findall(r'<th scope="row">(.*?)<small>', fold)]
    assert sorted(named) == NAMES
    right = dict(zip(NAMES, many.details.classes.right["edge"], strict=True))  # type: ignore[union-attr]
    shares = [right[name] for name in named]
    assert shares == sorted(shares)
    weakest, wrong = named[0], many.details.classes.confused["edge"]  # type: ignore[union-attr]
    place = wrong.targets.index(NAMES.index(weakest))
    row = folds[0][folds[0].index(html.escape(weakest).replace("&#x27;", "&#39;")) :].split("</tr>")[0]
    assert f"{100 * right[weakest] / EACH:.1f}" in row
    assert f"{html.escape(NAMES[wrong.answers[place]]).replace('&#x27;', '&#39;')} ({wrong.counts[place]})" in row


def test_a_small_table_stays_as_it_is(report: Report) -> None:
    assert report.details.classes is None
    assert list(report.details.confusion) == [row.step for row in report.models]
    assert list(report.details.per_class) == list(report.details.confusion)


def test_a_report_that_holds_matrices_of_many_classes_becomes_small(
    report: Report, drawn: Figures, tmp_path: Path
) -> None:
    size = 150
    labels = tuple(f"flower {number}" for number in range(size))
    counts = tuple(tuple(7 if a == b else int((a * b) % 97 == 1) for b in range(size)) for a in range(size))
    table = Confusion(labels=labels, counts=counts)
    old = report.details.model_copy(update={"confusion": {row.step: table for row in report.models}})
    report.model_copy(update={"details": old}).save(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    del content["details"]["classes"]  # as files were before there was such a field
    (tmp_path / "report.json").write_text(json.dumps(content))
    loaded = Report.load(tmp_path / "report.json")
    assert loaded.details.confusion == {}
    assert set(loaded.details.per_class) == {"edge", "teacher"}
    columns = loaded.details.classes
    assert columns is not None
    assert columns.names == labels
    assert columns.right["slim"] == (7,) * size
    assert columns.samples[2] == 7 + sum(counts[2][b] for b in range(size) if b != 2)
    wrong = columns.confused["slim"]
    assert all(counts[a][b] == n for a, b, n in zip(wrong.targets, wrong.answers, wrong.counts, strict=True))
    assert len(wrong.counts) == sum(cell for a, row in enumerate(counts) for b, cell in enumerate(row) if a != b)
    page = pages.page(loaded, drawn)
    assert "All 150 classes" in page
    assert "Most often confused" in page
    assert "<!--figure confusion " not in page


def test_the_most_frequent_mistake_of_each_class_is_kept_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, answers = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 2, 0, 1, 0, 1])
    counted = Counted(("a", "b", "c"), targets, answers, np.array([9, 5, 4, 1, 8, 2, 3]))
    assert counted.samples().tolist() == [18, 9, 5]
    assert counted.right().tolist() == [9, 8, 0]
    everything = counted.confused()
    assert (everything.targets, everything.answers) == ((0, 0, 2, 2, 1), (1, 2, 1, 0, 0))
    assert (everything.counts, everything.left_out_pairs, everything.left_out_samples) == ((5, 4, 3, 2, 1), 0, 0)
    monkeypatch.setattr(classes, "MOST_PAIRS", 4)
    kept = counted.confused()
    assert (kept.targets, kept.answers, kept.counts) == ((0, 0, 2, 1), (1, 2, 1, 0), (5, 4, 3, 1))
    assert (kept.left_out_pairs, kept.left_out_samples) == (1, 2)
    monkeypatch.setattr(classes, "MOST_PAIRS", 2)
    assert counted.confused().counts == (5, 3)


def test_beyond_two_thousand_classes_the_columns_alone_name_them() -> None:
    size = 2_001
    per_class = [{"name": f"c{number}"} for number in range(size)]
    cells = {"targets": [0, 0, 5], "answers": [0, 2_000, 5], "counts": [3, 1, 2]}
    found = Details(**classes.details_of({"edge": {"per_class": per_class, "cells": cells}}, ["edge"]))
    assert found.per_class == {}
    rows = classes.of_step(found, "edge")
    assert (len(rows), rows[0].n, rows[0].value, rows[1].value, rows[5].value) == (size, 4, 0.75, None, 1.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"samples": [1]}, "samples and right have a number for each name"),
        ({"right": {"edge": [9, 0]}}, "of a class's samples none to all are right"),
        ({"right": {"edge": [-1, 0]}}, "greater than or equal to 0"),
        ({"samples": [2, 10**30]}, "less than or equal to 1099511627776"),
        ({"confused": {"edge": {"targets": [0], "answers": [7], "counts": [1]}}}, "are places in the names"),
        ({"confused": {"edge": {"targets": [0], "answers": [], "counts": [1]}}}, "have equal lengths"),
    ],
)
def test_columns_that_do_not_fit_are_no_report(
    report: Report, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    content = json.loads(report.text())
    content["details"]["classes"] = {
        "names": ["a", "b"], "samples": [2, 2], "right": {"edge": [1, 2]}, "confused": {}, **change,
    }  # fmt: skip
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=told):
        Report.load(tmp_path / "report.json")


def counted(*cells: tuple[int, int, int], names: str = "abc") -> Counted:
    targets, answers, counts = (np.array(column, np.int64) for column in zip(*cells, strict=True))
    return Counted(tuple(names), targets, answers, counts)


def test_mistakes_by_hand() -> None:
    """The most frequent first, of equals by target and answer; right answers and empty cells are none."""
    found = counted((0, 0, 9), (0, 1, 2), (0, 2, 3), (1, 0, 3), (1, 1, 1), (2, 0, 0))
    wrong = found.confused()
    assert list(zip(wrong.targets, wrong.answers, wrong.counts, strict=True)) == [(0, 2, 3), (1, 0, 3), (0, 1, 2)]
    assert (wrong.left_out_pairs, wrong.left_out_samples) == (0, 0)
    assert (found.samples().tolist(), found.right().tolist()) == ([14, 4, 0], [9, 1, 0])
    assert found.matrix().counts == ((9, 2, 3), (3, 1, 0), (0, 0, 0))
    assert [(one.name, one.n, one.value) for one in found.rows()] == [
        ("a", 14, 9 / 14),
        ("b", 4, 1 / 4),
        ("c", 0, None),
    ]


def test_the_first_mistake_of_every_class_goes_before_the_most_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 5, 4 and 1 two are shown: the first class has the two largest, and the second class's only one is kept."""
    monkeypatch.setattr(classes, "MOST_PAIRS", 2)
    wrong = counted((0, 1, 5), (0, 2, 4), (1, 0, 1)).confused()
    assert (wrong.targets, wrong.counts) == ((0, 1), (5, 1))
    assert (wrong.left_out_pairs, wrong.left_out_samples) == (1, 4)


def test_the_weakest_is_the_one_with_the_smallest_share_then_with_more_samples() -> None:
    known = classes.rows(["d", "c", "b", "a", "e"], [4, 8, 4, 4, 0], [2, 4, 1, 2, 0])
    assert [one.name for one in classes.weakest_first(known)] == ["e", "b", "c", "a", "d"]


@pytest.mark.parametrize(("count", "close", "named"), [(128, [], True), (129, [], False), (129, ["s"], True)])
def test_classes_that_a_task_tells_itself_are_named_where_they_are_few_or_looked_at(
    count: int, close: list[str | None], named: bool
) -> None:
    told = {"per_class": [{"name": f"c{number}", "n": 2, "value": 0.5} for number in range(count)]}
    found = classes.details_of({"s": told}, close)
    assert list(found["per_class"]) == (["s"] if named else [])
    assert found["confusion"] == {}


@pytest.mark.parametrize(("count", "matrix"), [(128, True), (129, False)])
def test_more_than_128_classes_are_columns(count: int, matrix: bool) -> None:
    table = np.diag(np.arange(1, count + 1)).tolist()
    found = classes.details_of({"s": {"confusion": table}}, [])
    assert ("s" in found["confusion"]) is matrix
    assert (found["classes"] is None) is matrix
    assert ("s" in found["per_class"]) is matrix


@pytest.mark.parametrize("cell", [-5, 10**30])
def test_a_matrix_of_many_classes_with_impossible_counts_is_no_report(
    report: Report, tmp_path: Path, cell: int
) -> None:
    content = json.loads(report.text())
    counts = [[cell if a == b else 0 for b in range(129)] for a in range(129)]
    content["details"]["confusion"] = {"edge": {"labels": [f"c{place}" for place in range(129)], "counts": counts}}
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="than or equal to"):
        Report.load(tmp_path / "report.json")


def test_cells_may_come_with_labels_alone() -> None:
    told = {"labels": ["a", "b"], "cells": {"targets": [0], "answers": [1], "counts": [2]}}
    assert classes.details_of({"s": told}, [])["confusion"]["s"].counts == ((0, 2), (0, 0))


@pytest.mark.parametrize("field", ["size_bytes", "macs", "operators", "curves"])
def test_a_row_with_a_number_that_nobody_can_reckon_with_is_no_report(
    report: Report, tmp_path: Path, field: str
) -> None:
    content, huge = json.loads(report.text()), 10**400
    content["models"][0][field] = {"operators": {"Conv": huge}, "curves": [{"epoch": huge}]}.get(field, huge)
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"is no compress\.report/1"):
        Report.load(tmp_path / "report.json")
