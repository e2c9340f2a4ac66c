"""What a person or a machine sees while a run goes on: one live line a step, plain lines, or JSON lines."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text


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
    return Live(console) if console.is_terminal else PlainLines(console)


def duration(seconds: float) -> str:
    """Seconds as a person writes them: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _numbers(numbers: dict[str, float]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in numbers.items())


class _Position(ProgressColumn):
    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        return Text(f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}")


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        speed = f"{task.speed:.0f}" if task.speed >= 10 else f"{task.speed:.1f}"
        return Text(f"{speed} {task.fields['unit']}/s", style="progress.data.speed")


class Live:
    """One live line a step, with progress, rate and time left; what ended stays above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        whole = Column(no_wrap=True)
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)
        self._bars = Progress(
            SpinnerColumn(), TextColumn("[bold]{task.description}", table_column=whole), BarColumn(bar_width=16),
            _Position(table_column=whole), _Rate(table_column=whole),
            TimeElapsedColumn(table_column=whole), TextColumn("left", table_column=whole),
            TimeRemainingColumn(table_column=whole), TextColumn("[dim]{task.fields[numbers]}", table_column=rest),
            console=console, transient=True, refresh_per_second=8,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._unit = ""

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
                self._console.print(
                    f"[green]✓[/] {escape(event['node'])} [dim]{duration(event['seconds'])}[/]", highlight=False
                )
            case "say":
                self._console.print(f"  [dim]{escape(event['text'])}[/]", highlight=False)
            case "waiting":
                self._console.print(f"[yellow]{escape(event['text'])}[/]", highlight=False)

    def _begin(self, node: str) -> None:
        self._end()
        self._unit = ""
        self._task = self._bars.add_task(escape(node), total=None, unit="", numbers="", start=True)

    def _advance(self, event: dict[str, Any]) -> None:
        if self._task is None:
            return
        if event["unit"] != self._unit:
            self._unit = event["unit"]
            self._bars.reset(self._task, total=event["total"], unit=self._unit, numbers="")
        self._bars.update(
            self._task, completed=event["done"], total=event["total"], numbers=escape(_numbers(event["numbers"]))
        )

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
                self._line(f"{event['node']}: done in {duration(event['seconds'])}")
            case "say":
                self._line(f"{event['node']}: {event['text']}" if event.get("node") else event["text"])
            case "waiting":
                self._line(event["text"])
            case "progress" if time.monotonic() - self._last >= self.EVERY_SECONDS:
                done = f"{event['done']}/{event['total']} {event['unit']}"
                self._line(f"{event['node']}: {done}  {_numbers(event['numbers'])}".rstrip())

    def _line(self, text: str) -> None:
        self._last = time.monotonic()
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


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
        self._out.write(json.dumps(event) + "\n")
        self._out.flush()
