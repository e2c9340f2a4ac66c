"""The files of a report: report.json, report.html and report.md, each written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from compressor.printable import printable
from compressor.report.contract.report import Report
from compressor.report.contract.whole import write_whole
from compressor.report.pages import markdown
from compressor.report.pages.html import figures_of, page
from compressor.unfinished import sweep


def render(report: Report, folder: Path, previous: Path | None = None) -> None:
    """Write the three files of a report into a folder; see `pages`."""
    sweep(folder)
    report.save(folder / "report.json")
    pages(report, folder, previous)


def pages(report: Report, folder: Path, previous: Path | None = None) -> None:
    """Write a report's pages into a folder.

    previous: a folder with an older report.html of ours. A figure whose data did not change is taken from there, so
    that an unchanged run need not load the plotting library; everything else on the page is made anew.
    """
    known = figures_of(previous / "report.html") if previous is not None else {}
    sweep(folder)
    html = printable(page(report, known), lines=True)
    write_whole(folder / "report.html", html)
    write_whole(folder / "report.md", printable(markdown.page(report), lines=True))
