"""report.html and report.md: complete, safe with any text, the same for the same report."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from typing import Any

import pytest

from compressor.report.contract.details import Confusion, Device
from compressor.report.contract.report import Report
from compressor.report.contract.rows import LatencyRow
from compressor.report.drawings import figures, plots
from compressor.report.judgement import words
from compressor.report.pages import html as pages
from compressor.report.pages import markdown
from compressor.report.pages.save import render

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Balance(html.parser.HTMLParser):
    """Finds elements that are not closed in order, and what each refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.ids += [known["id"]] if known.get("id") else []  # type: ignore[list-item]
        self.links += [value for name, value in attrs if name in ("href", "src", "xlink:href") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(rendered: Path) -> str:
    return (rendered / "report.html").read_text()


def test_the_page_is_whole_and_needs_no_network(page: str) -> None:
    found = Balance()
    found.feed(page)
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    for link in found.links:
        assert link.startswith(("#", "data:image/png;base64,"))
        if link.startswith("#"):
            assert link[1:] in found.ids, link
    assert "<script" not in page
    assert "url(http" not in page
    assert "@import" not in page


def test_everything_asked_for_is_on_the_page(page: str, report: Report) -> None:
    for figure in figures.figures(report):
        assert f"<!--figure {figure.name} " in page
    kinds = {figure.kind for figure in figures.figures(report)}
    assert kinds == {"dots", "bars", "scatter", "distribution", "curves", "per_class", "operators"}
    assert page.count("<img ") == 20
    for text in ("Undecided", "Your device differs", "Before you believe it", "compress verify bundle", "avx512_vnni"):
        assert text in page
    first = page.index("Undecided")
    assert first < page.index("The budget") < page.index("Step by step") < page.index(">Conditions</h2>")


def test_any_text_is_only_text(report: Report) -> None:
    nasty = "<script>alert(1)</script>\"'&`|"
    models = tuple(row.model_copy(update={"step": nasty, "curves": None}) for row in report.models[:1])
    confusion = {nasty: Confusion(labels=(nasty, "b"), counts=((1, 2), (3, 4)))}
    worst = tuple(
        one.model_copy(update={"target": nasty, "picture": f"data:image/svg+xml,{nasty}"})
        for one in report.details.worst
    )
    changed = report.model_copy(
        update={
            "name": nasty,
            "models": models,
            "warnings": (nasty,),
            "reproduce": (nasty,),
            "verdict": report.verdict.model_copy(update={"ship": nasty, "baseline": nasty}),
            "details": report.details.model_copy(update={"confusion": confusion, "worst": worst, "latency_rounds": {}}),
        }
    )
    page = pages.page(changed)
    assert "<script" not in page
    assert "data:image/svg" not in page
    assert "&lt;script&gt;" in page
    text = markdown.page(changed)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_pages_are_made_from_the_file_alone(rendered: Path, tmp_path: Path) -> None:
    render(Report.load(rendered / "report.json"), tmp_path)
    for name in ("report.json", "report.html", "report.md"):
        assert (rendered / name).read_bytes() == (tmp_path / name).read_bytes()


def test_an_unchanged_figure_is_taken_from_the_page_before(
    report: Report, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_KINDS", {})  # drawing would now fail
    later = report.model_copy(update={"created": "2027-01-01T00:00:00+00:00"})
    render(later, tmp_path / "after", rendered)
    assert "2027-01-01 00:00" in (tmp_path / "after" / "report.html").read_text()
    with pytest.raises(KeyError):
        render(later, tmp_path / "fresh")


def test_a_figure_that_was_touched_or_has_other_data_is_drawn_again(
    report: Report, page: str, drawn: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page.replace("median latency, ms<", "median latency, hours<"))
    assert {name for name, _ in set(drawn) - set(pages.figures_of(path))} == {"scatter"}
    fewer = report.model_copy(update={"models": report.models[:-1]})
    changed = {figure.name for figure in figures.figures(fewer) if (figure.name, figure.digest) not in drawn}
    assert "waterfall-size" in changed
    assert "per-class" not in changed


def test_figures_take_their_colours_from_the_page(page: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.S))
    assert "var(--ink)" in drawings
    assert "var(--accent)" in drawings
    assert not re.search(r"#0[0-9]0", drawings)
    assert "DejaVu" not in drawings
    assert "<style" not in drawings


@pytest.mark.parametrize(("state", "title"), [("pass", "Pass"), ("fail", "Fail"), ("measured", "Measured")])
def test_the_verdict_is_the_first_thing_said(
    report: Report, state: Any, title: str, drawn: dict[tuple[str, str], str]
) -> None:
    statements = (
        ()
        if state == "measured"
        else tuple(
            one.model_copy(update={"state": "broken" if state == "fail" and place == 0 else "holds"})
            for place, one in enumerate(report.verdict.statements)
        )
    )
    verdict = report.verdict.model_copy(update={"state": state, "statements": statements})
    bare = report.model_copy(
        update={
            "verdict": verdict,
            "models": (),
            "details": report.details.model_copy(
                update={"confusion": {}, "per_class": {}, "latency_rounds": {}, "worst": ()}
            ),
        }
    )
    assert f"<title>{title}: cifar10</title>" in pages.page(bare, drawn)
    assert f"{title}: cifar10" in markdown.page(bare).splitlines()[0]


def test_many_classes_are_drawn_as_points_and_pairs(report: Report, drawn: dict[tuple[str, str], str]) -> None:
    n = 102
    counts = tuple(tuple(5 if a == b else int((a * b) % 97 == 1) for b in range(n)) for a in range(n))
    many = Confusion(labels=tuple(f"flower {a}" for a in range(n)), counts=counts)
    changed = report.model_copy(update={"details": report.details.model_copy(update={"confusion": {"edge": many}})})
    page = pages.page(changed, drawn)
    assert "<!--figure confusion " in page
    assert 'class="confusion"' not in page
    assert "Most often confused" in page


def test_devices_stand_beside_the_host(report: Report, drawn: dict[tuple[str, str], str]) -> None:
    device = Device(
        machine={"cpu": "Cortex-A72", "isa": "asimd"},
        model_sha256="x",
        rows=(LatencyRow(threads=4, batch=1, p50_ms=3.25),),
    )
    page = pages.page(
        report.model_copy(update={"details": report.details.model_copy(update={"devices": (device,)})}), drawn
    )
    assert 'href="#devices"' in page
    table = page[page.index(">On your devices<") :]
    assert "Cortex-A72" in table
    assert f"3.25{words.FIXED}ms" in table
    assert "this machine: Intel" in table
    assert '<p class="note">Cortex-A72: asimd</p>' in table


def test_every_link_from_the_network_to_the_shipped_file_is_shown(page: str, report: Report) -> None:
    table = page[page.index('<h2 id="parity">') :].split("</section>")[0]
    links = re.findall(r'<th scope="row">(.*?)<small>(.*?)</small></th><td class="n">(.*?)</td>', table)
    assert [(name, note, same.replace(words.FIXED, " ")) for name, note, same in links] == [
        ("slim in torch → slim", "float32", "98.70 %"),
        ("slim → int8", "float32 to int8", "98.70 %"),
        ("int8 → edge", "the file for the device", "98.70 %"),
    ]
    assert table.count(f"27.4{words.FIXED}dB") == 3
    assert "slim → int8 98.70" in markdown.page(report)
    assert "in torch" not in markdown.page(report)
    rows = tuple(row.model_copy(update={"step": "torch8"}) if row.step == "edge" else row for row in report.models)
    renamed = {"models": rows, "verdict": report.verdict.model_copy(update={"ship": "torch8"})}
    assert "int8 → torch8 98.70" in markdown.page(report.model_copy(update=renamed))
    assert (words.share(0.99996), words.share(1)) == (f">{words.FIXED}99.99{words.FIXED}%", f"100.00{words.FIXED}%")


def test_no_answer_is_surer_than_sure(page: str) -> None:
    shown = [one.replace(words.FIXED, " ") for one in re.findall(r'<span class="muted">([^<]*%)</span>', page)]
    assert (shown[0], shown[1], len(shown)) == ("&gt; 99.9 %", "98.0 %", 20)


def test_without_a_bundle_nothing_is_said_of_one(report: Report, drawn: dict[tuple[str, str], str]) -> None:
    verdict = report.verdict.model_copy(update={"state": "measured", "ship": None, "statements": ()})
    details = report.details.model_copy(update={"worst": (), "lost": None, "won": None})
    bare = report.model_copy(
        update={"verdict": verdict, "models": report.models[:-1], "shipped": None, "details": details}
    )
    page = pages.page(bare, drawn)
    assert "No bundle was made: figures, and no verdict." in page
    assert "--to python" not in page
    legend = re.findall(r'<ul class="legend">(.*?)</ul>', page)[0]
    assert re.findall(r">(\w+)</li>", legend) == ["float", "int8"]
    assert "columns the answer of int8." in page
    assert "● int8 (95 % interval)   | teacher" in page
    assert [one.data["title"] for one in figures.figures(bare) if one.kind == "operators"] == ["teacher", "int8"]


def test_a_training_of_one_epoch_is_a_sentence_and_one_with_a_teacher_tells_its_loss(
    report: Report, drawn: dict[tuple[str, str], str]
) -> None:
    loss = "0.1 * cross-entropy with the labels + 0.9 * 4^2 * KL(teacher || student) at temperature 4"
    epochs = {"plain": 2, "student": 2, "slim": 0, "int8": 1}
    models = tuple(
        row.model_copy(update={"curves": (row.curves or ())[: epochs.get(row.step, 0)]}) for row in report.models
    )
    notes = {"student": {"loss": loss}, "plain": {"loss": "cross-entropy with labels that a teacher gave"}}
    changed = report.model_copy(
        update={"models": models, "details": report.details.model_copy(update={"notes": notes})}
    )
    found = [one for one in figures.figures(changed) if one.kind == "curves"]
    assert [[panel["title"] for panel in one.data["panels"]] for one in found] == [
        ["loss", "validation accuracy, %"],
        ["train loss", "validation loss", "validation accuracy, %"],
    ]
    page = pages.page(changed, drawn)
    assert (
        f"int8 was trained for one epoch: train loss 1.68, validation loss 1.82, validation accuracy 54.80{words.FIXED}%."
        in page
    )
    assert "Train loss: 0.1 · cross-entropy with the labels + 0.9 · 4² · KL(teacher ‖ student) at temperature 4" in page
    svg = page[page.index("<!--figure curves-1 ") :].split("<!--/figure-->")[0]
    axis = re.findall(r'text-anchor: middle; fill: var\(--muted\)"[^>]*>([^<]*)<', svg)
    assert axis == ["1", "2", "epoch"]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_what_runs_in_float_is_drawn_as_float(path: Path) -> None:
    report = Report.load(path)
    drawings = [one for one in figures.figures(report) if one.kind == "operators"]
    assert drawings
    for one in drawings:
        row = report.row(one.data["title"])
        assert row is not None
        floats = [entry for entry in one.data["entries"] if entry["colour"] == "float"]
        assert sum(entry["value"] for entry in floats if "Conv" in entry["name"]) == row.float_convolutions


def test_an_operator_is_drawn_as_what_it_computes_in() -> None:
    drawn = {
        name: figures.operator_colour(name) for name in ("QLinearAdd", "QGemm", "NchwcConv", "LSTM", "Softmax", "x:Y")
    }
    assert drawn == {
        "QLinearAdd": "integer", "QGemm": "integer", "NchwcConv": "float", "LSTM": "float",
        "Softmax": "other", "x:Y": "other",
    }  # fmt: skip


def test_no_axis_of_a_share_goes_on_beyond_all(page: str) -> None:
    for name in ("waterfall-quality", "scatter", "per-class"):
        svg = page[page.index(f"<!--figure {name} ") :].split("<!--/figure-->")[0]
        ticks = re.findall(r"<text[^>]*>(\d+(?:\.\d+)?)</text>", svg)
        assert ticks
        assert all(float(tick) <= 100 for tick in ticks), name


def test_markdown_is_short_and_its_tables_are_tables(report: Report) -> None:
    text = markdown.page(report)
    assert len(text) < 4_000
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert set(widths[:7]) == {6}
    assert set(widths[7:]) == {8}
