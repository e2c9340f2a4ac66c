"""A run, seen from the parent: plan, have the child work, collect what the store then holds into a run folder."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.errors import CompressError, Exit, InputError, Interrupted
from compressor.pipeline.file import spec
from compressor.pipeline.plan.prepare import Prepared, Request, located, needs_download, prepare
from compressor.pipeline.run.outcome import collect
from compressor.pipeline.run.run_folder import RunFolder
from compressor.pipeline.run.supervise import ChildBug, Died, run_child
from compressor.printable import each_printable, in_json
from compressor.report.contract.report import Report
from compressor.store.disk import foreseen, writing
from compressor.unfinished import sweep_folders

OnEvent = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """A finished run: its report, and the folder that holds it."""

    report: Report
    folder: Path


class Log:
    """The run's log, one JSON object a line; kept in memory until there is a run folder to write it to."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event, self._lock = on_event, threading.Lock()
        self._path: Path | None = None
        self._early: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        """Write an event down and pass it on; called from the two threads that listen to the child."""
        with self._lock:
            line = in_json({"at": round(time.time(), 3), **each_printable(event)}) + "\n"
            if self._path is None:
                self._early.append(line)
            else:
                # A full disk ends the run where a result is lost by it, and not for a line of the log.
                with suppress(OSError), open(self._path, "a", encoding="utf-8", opener=_without_waiting) as file:
                    file.write(line)
            if event["event"] != "output":
                self._on_event(event)

    def open(self, path: Path) -> None:
        """Begin the file, with what was kept so far."""
        with self._lock:
            if self._path is None:
                with suppress(OSError), open(path, "w", encoding="utf-8", opener=_without_waiting) as file:
                    file.write("".join(self._early))
                self._path = path


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file, and of what is none, a pipe that nobody reads say, fails at once."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)


def run(request: Request, *, out: Path | None, on_event: OnEvent, command: str = "") -> Outcome:
    """Run a pipeline and leave report, pages and bundle in its run folder.

    Raises:
        CompressError: of the kind that decides the exit code; what was finished is kept in the store.
    """
    try:
        if needs_download(request):
            on_event({"event": "say", "node": "", "text": "downloading the data that the file asks for"})
            run_child({"fetch": request.to_json()}, on_event)
        prepared = prepare(request)
    except CompressError:
        name = spec.name_in(request.path, request.sets)
        if shown := out or (Path("runs") / name if name else None):
            RunFolder(shown).give_up()
        raise
    except KeyboardInterrupt:
        raise Interrupted("", "interrupted before anything ran", _goes_on(request, command)) from None
    prepared.store.sweep()
    sweep_folders()
    folder = RunFolder(out or Path("runs") / prepared.pipeline.name)
    log = Log(on_event)
    waiting = [node for node in prepared.plan.nodes if node.status != "reuse"]
    begun = {node.key for node in waiting}

    def listen(event: dict[str, Any]) -> None:
        if event["event"] == "checked":
            log.open(folder.begin(prepared))
        log(event)

    try:
        if waiting:
            run_child(request.to_json(), listen)
        else:
            log.open(folder.begin(prepared))
            for node in prepared.plan.nodes:
                prepared.remember(node)
        with writing(folder.path, "--out"):
            report = collect(prepared, begun, folder)
        page = str(folder.path / "report.html")
        log({"event": "verdict", "state": report.verdict.state, "exit_code": report.exit_code, "report": page})
    except CompressError as error:
        raise _completed(error, prepared, folder, log, command) from error
    except KeyboardInterrupt:
        stopped = Interrupted("", "interrupted; everything finished so far is kept")
        raise _completed(stopped, prepared, folder, log, command) from None
    except Exception as problem:
        if isinstance(problem, BrokenPipeError) or foreseen(problem, folder.path):
            raise
        bug = ChildBug(f"{type(problem).__name__}: {problem}", traceback.format_exc())
        raise _completed(bug, prepared, folder, log, command) from problem
    return Outcome(report, folder.path)


def _completed(error: CompressError, prepared: Prepared, folder: RunFolder, log: Log, command: str) -> CompressError:
    """The error with what only the run knows: the command that goes on, the log of a bug."""
    folder.give_up(leave_nothing=isinstance(error, InputError))
    if isinstance(error, InputError):
        located(error, prepared.pipeline)
    if isinstance(error, Interrupted):
        error.todo = _goes_on(prepared.request, command)
    if isinstance(error, Died):
        error.todo = f"{error.todo}, then {_goes_on(prepared.request, command)}"
    if isinstance(error, ChildBug):
        path = folder.path / "log.jsonl"
        log.open(folder.begin(prepared) if not path.parent.is_dir() else path)
        log({"event": "bug", "what": error.what, "trace": error.trace})
        error.what = f"a bug of ours: {error.what}"
        error.todo = f"please report it and attach {path}"
    if error.exit_code is Exit.INTEGRITY and not error.todo:
        error.todo = f"build it again with: compress run {prepared.request.path} --fresh STEP"
    return error


def _goes_on(request: Request, command: str) -> str:
    return f"go on with: {command or request.command()}"
