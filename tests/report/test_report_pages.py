"""report.html and report.md: complete, safe with any text, the same for the same report."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from compressor.report import html as pages
from compressor.report import markdown, plots, words
from compressor.report.details import Confusion, Device
from compressor.report.figures import sketches
from compressor.report.report import Limit, Report
from compressor.report.rows import LatencyRow
from compressor.report.save import render

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
def rendered(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder that other tests take unchanged figures from, since drawing them takes a second."""
    folder = tmp_path_factory.mktemp("rendered")
    render(report, folder)
    return folder


@pytest.fixture(scope="module")
def page(rendered: Path) -> str:
    return (rendered / "report.html").read_text()


@pytest.fixture(scope="module")
def drawn(rendered: Path) -> dict[tuple[str, str], str]:
    return pages.figures_of(rendered / "report.html")


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
    for sketch in sketches(report):
        assert f"<!--figure {sketch.name} " in page
    kinds = {sketch.kind for sketch in sketches(report)}
    assert kinds == {"dots", "bars", "scatter", "distribution", "curves", "per_class", "operators"}
    assert page.count("<img ") == 20
    for text in ("Undecided", "Your device differs", "Before you believe it", "compress verify bundle", "avx512_vnni"):
        assert text in page
    first = page.index("Undecided")
    assert first < page.index("The budget") < page.index("From teacher to what ships") < page.index(">Conditions</h2>")


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
    changed = {sketch.name for sketch in sketches(fewer) if (sketch.name, sketch.digest) not in drawn}
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
        machine={"cpu": "Cortex-A72"}, model_sha256="x", rows=(LatencyRow(threads=4, batch=1, p50_ms=3.25),)
    )
    page = pages.page(
        report.model_copy(update={"details": report.details.model_copy(update={"devices": (device,)})}), drawn
    )
    assert "On your devices" in page
    assert "Cortex-A72" in page
    assert "3.25 ms" in page
    assert "this machine: Intel" in page


def test_markdown_is_short_and_its_tables_are_tables(report: Report) -> None:
    text = markdown.page(report)
    assert len(text) < 4_000
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    assert set(widths[:7]) == {6}
    assert set(widths[7:]) == {8}


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("accuracy", 0.9339, "93.39 %"),
        ("latency_p50_ms", 0.4123, "0.412 ms"),
        ("latency_p50_ms", 12.34, "12.3 ms"),
        ("size_mb", 0.079, "0.0790 MB"),
        ("speedup", 4.0, "4.00×"),
        ("macs", 12_501_000, "12.5 M"),
        ("params", 640, "640"),
        ("latency_p50_ms", 1234.5, "1,234 ms"),
        ("latency_p50_ms", None, "—"),
        ("size_mb", 3.4512, "3.45 MB"),
    ],
)
def test_numbers_are_written_for_people(measure: str, value: float | None, text: str) -> None:
    assert words.number(measure, value) == text


@pytest.mark.parametrize(
    ("measure", "given", "text"),
    [
        ("accuracy", {"min": 0.95}, "at least 95 %"),
        ("accuracy", {"max_drop": 0.03}, "at most 3 points below the baseline"),
        ("size_mb", {"max": 0.2}, "at most 0.2 MB"),
        ("speedup", {"min": 4}, "at least 4×"),
        ("params", {"max": 78_000}, "at most 78,000"),
    ],
)
def test_limits_are_written_for_people(measure: str, given: Mapping[str, float], text: str) -> None:
    assert words.limit(measure, Limit(**given)) == text
