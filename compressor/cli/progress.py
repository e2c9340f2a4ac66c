"""What a person or a machine sees while a run goes on: one live line a step, plain lines, or JSON lines."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.cells import cell_len
from rich.console import Console as AnyConsole
from rich.console import ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from compressor.cli.console import Console, styled
from compressor.printable import each_printable, in_json, printable
from compressor.report.judgement import words
from compressor.tasks import TASKS

SHARES = {name for kind in TASKS.values() for name, metric in kind.metrics.items() if metric.unit == "share"}
"""Metrics that are shown in percent."""


class Display(Protocol):
    """Takes the events of a run; used as a context manager around it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event, or leave it out."""


def display(console: Console, *, log_json: bool, out: TextIO) -> Display:
    """The display that fits: JSON lines where asked for, a live one on a terminal, else plain lines."""
    if log_json:
        return JsonLines(out)
    return Live(console) if console.is_live else PlainLines(console)


def _roughly(seconds: float) -> str:
    """A duration that is read at a glance, is short and does not flicker: `12 s`, `3 min`, `2.5 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _numbers(numbers: dict[str, float]) -> list[str]:
    shown = {
        name: words.number("share", value) if name in SHARES else f"{value:.3g}" for name, value in numbers.items()
    }
    return [printable(f"{words.label(name)} {typed(text)}") for name, text in shown.items()]


def typed(text: str) -> str:
    """Text with the spaces of a keyboard, so that a search of a terminal or a log finds `95.5 %`."""
    return text.replace(words.FIXED, " ")


class _Position(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        whole = f"{task.total:.0f}"
        return styled(f"{task.completed:{len(whole)}.0f}/{whole} {task.fields['unit']}")


class _Time(ProgressColumn):
    """One field, so that what has passed is never read as what is left."""

    def render(self, task: Task) -> Text:
        left = None if task.finished else task.time_remaining
        if left is not None:
            return Text(f"{_roughly(left)} left", style="progress.remaining")
        return Text(f"{_roughly(task.get_time() - task.fields['began'])} so far", style="progress.elapsed")


class _Rest(ProgressColumn):
    """The numbers and the rate, in what room the other columns leave."""

    def render(self, task: Task) -> _Parts:
        parts = _numbers(task.fields["numbers"])
        if task.speed:
            speed = f"{task.speed:.0f}" if task.speed >= 10 else f"{task.speed:.2g}"
            parts.append(printable(f"{speed} {task.fields['unit']}/s"))
        parts.sort(key=lambda part: part.startswith("learning rate"))  # the one number that is known beforehand
        return _Parts(parts)


class _Parts:
    """As many parts as fit, each of them whole; the last ones give way."""

    def __init__(self, parts: list[str]) -> None:
        self._parts = parts

    def __rich_measure__(self, console: AnyConsole, options: ConsoleOptions) -> Measurement:
        return Measurement(0, cell_len("  ".join(self._parts)))

    def __rich_console__(self, console: AnyConsole, options: ConsoleOptions) -> RenderResult:
        count = len(self._parts)
        while count and cell_len("  ".join(self._parts[:count])) > options.max_width:
            count -= 1
        yield Text("  ".join(self._parts[:count]), style="dim", no_wrap=True)


class Live:
    """One live line a step, with progress, rate and time left; what ended stays above it."""

    PACE_SECONDS = 300.0
    """The pace is that of the last five minutes: a batch may take one, and a validation passes now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        whole = Column(no_wrap=True)
        name = Column(no_wrap=True, max_width=24)
        self._bars = Progress(
            SpinnerColumn("dots" if console.encoding.startswith("utf") else "line"),
            TextColumn("{task.description}", style="bold", markup=False, table_column=name),
            BarColumn(bar_width=8), _Position(table_column=whole), _Time(table_column=whole), _Rest(),
            console=console, transient=True, refresh_per_second=8, speed_estimate_period=self.PACE_SECONDS,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._unit = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "step":
                self._begin(event["node"])
            case "progress":
                self._advance(event)
            case "done":
                self._end()
                took = typed(words.duration(event["seconds"]))
                self._console.tell(("✓", "green"), f" {event['node']} ", (took, "dim"))
            case "say":
                self._console.tell("  ", (event["text"], "dim"))
            case "waiting":
                self._console.tell((event["text"], "yellow"))

    def _begin(self, node: str) -> None:
        self._end()
        self._unit = ""
        self._began = self._bars.get_time()
        self._task = self._bars.add_task(printable(node), total=None, unit="", numbers={}, began=self._began)

    def _advance(self, event: dict[str, Any]) -> None:
        if self._task is None:
            return
        if event["unit"] != self._unit:
            self._unit = event["unit"]
            self._bars.reset(self._task, total=event["total"], unit=self._unit, numbers={}, began=self._began)
        self._bars.update(self._task, completed=event["done"], total=event["total"], numbers=event["numbers"])

    def _end(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class PlainLines:
    """Lines for a log: the beginning and end of each step, and now and then how far it is."""

    EVERY_SECONDS = 15.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "step":
                self._line(f"{event['node']}: begins")
            case "done":
                self._line(f"{event['node']}: done in {words.duration(event['seconds'])}")
            case "say":
                self._line(f"{event['node']}: {event['text']}" if event.get("node") else event["text"])
            case "waiting":
                self._line(event["text"])
            case "progress" if time.monotonic() - self._last >= self.EVERY_SECONDS:
                done = f"{event['done']}/{event['total']} {event['unit']}"
                self._line(f"{event['node']}: {done}  {'  '.join(_numbers(event['numbers']))}".rstrip())

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.say(text)


class JsonLines:
    """Every event as one JSON object a line, for machines."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: dict[str, Any]) -> None:
        self._out.write(in_json(each_printable(event)) + "\n")
        self._out.flush()
