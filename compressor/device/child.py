"""A process of its own for graphs from elsewhere, seen from outside: started, or forked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .limits import ADDRESSES_MB, Limits, Watch, bare_environment
from .memory import address_limit, is_shortage, short_of
from .program import module
from .refused import ALTERED, Refused
from .serve import Handlers, Message, receive, send, serve


class Forked:
    """This process once more, as `subprocess.Popen` shows a process. An emulator goes along with it."""

    def __init__(self, log: Any, handlers: Handlers, words: Sequence[str]) -> None:
        questions, answers = os.pipe(), os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self._lock, self.pid = threading.Lock(), os.fork()
        if self.pid == 0:
            end = 1
            try:
                os.close(questions[1])
                os.close(answers[0])
                kept = bare_environment()
                os.environ.clear()
                os.environ.update(kept)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                end = serve(handlers, words, os.fdopen(questions[0], "rb"), os.fdopen(answers[1], "wb"))
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
            finally:
                os._exit(end)
        os.close(questions[0])
        os.close(answers[1])
        self.stdin, self.stdout = os.fdopen(questions[1], "wb"), os.fdopen(answers[0], "rb")

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None:
                process, status = os.waitpid(self.pid, os.WNOHANG)
                if process:
                    killed = os.WIFSIGNALED(status)
                    self.returncode = -os.WTERMSIG(status) if killed else os.WEXITSTATUS(status)
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(0.002)
        return code

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def apart(name: str, place: Path, code: int, limits: tuple[int, int] | None = None) -> Child:
    """A `Child` for a file from elsewhere, in which the program `python -m name` answers.

    place: the file. code: the exit code of what it does wrong. limits: seconds for an answer, and MB of memory.
    """
    command, environment = module(name)
    return Child(command, Limits(*limits) if limits else Limits(), str(place), code, environment)


class Child:
    """A process that loads and runs graphs from elsewhere, and may be ended at any time without harm.

    start: the command of a program that calls `serve`, or handlers for it: this process is forked then, which the
    caller knows to be safe. place: the file in question. code: the exit code of what it does wrong, 4 for a bundle's
    file, 2 for one that is given. Ended with its parent.
    """

    def __init__(
        self, start: Sequence[str] | Handlers, limits: Limits, place: str, code: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._limits, self._place, self._code = limits, place, code
        self._log = _scratch()
        words = [str(os.getpid()), str(limits.memory_mb)]
        try:
            if isinstance(start, Mapping):
                self._process: Any = Forked(self._log, start, words)
            else:
                self._process = subprocess.Popen(
                    [*start, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
                    env={**bare_environment(), **(environment or {})},
                )  # fmt: skip
            self._watch = Watch(self._process, limits)
        except BaseException:
            self._log.close()
            raise

    def __enter__(self) -> Child:
        try:
            ready = receive(self._process.stdout)
            if ready is None:
                raise self._death()
            if "short" in ready[0]:
                raise self._short(ready[0]["short"])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *problem: object) -> None:
        self._process.kill()
        self._process.wait()
        self._watch.stop()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):
                stream.close()

    def ask(self, request: Mapping[str, Any], array: np.ndarray | None = None, more: float = 0) -> Message:
        """What the process answers; Refused where it refuses, takes too much, or dies.

        more: seconds that it may take beyond the usual, since the graph answers several times in between.
        """
        self._watch.begin(more)
        try:
            send(self._process.stdin, request, array)
            told = receive(self._process.stdout)
        except OSError:
            told = None
        finally:
            self._watch.rest()
        if told is None:
            raise self._death()
        if "refused" in told[0]:
            raise Refused(*told[0]["refused"])
        if "short" in told[0]:
            raise self._short(told[0]["short"])
        return told

    def _death(self) -> Exception:
        end = self._process.wait()
        self._watch.stop()
        self._log.seek(0)
        lines = self._log.read()[-4000:].decode("utf-8", errors="replace").strip().splitlines()
        if self._watch.over:
            return short_of(self._place, self._watch.over) if self._watch.full else self._over(self._watch.over)
        if any(is_shortage(line) for line in lines):
            return self._short(next(line for line in lines if is_shortage(line)))
        if end == -9:
            return short_of(self._place, "the system ended the process that ran it, most often for want of memory")
        if end < 0:
            name = signal.Signals(-end).name
            if self._limited():
                return short_of(self._place, f"the process that ran it died by {name}")
            return Refused(self._code, self._place, f"onnxruntime dies of it ({name})", self._todo())
        return RuntimeError(f"the process that runs a graph ended with {end}: {lines[-1:] or 'no words'}")

    def _over(self, problem: str) -> Refused:
        option = "--max-memory-mb" if "memory" in problem else "--max-seconds"
        return Refused(self._code, self._place, problem, f"allow more with {option} if you trust it")

    def _short(self, told: str) -> Refused:
        if self._limited():
            return short_of(self._place, told)
        return self._over(f"wants more than {self._limits.memory_mb:,} MB of memory")

    def _limited(self) -> bool:
        """Whether addresses are limited from outside, and more than by `--max-memory-mb`."""
        outside = address_limit()
        return outside is not None and outside < self._limits.memory_mb * 10**6 + ADDRESSES_MB * 2**20

    def _todo(self) -> str:
        return "get a fresh copy of the bundle" if self._code == ALTERED else "give another file"


def _scratch() -> Any:
    """A file for what libraries say; nowhere where no temporary file can be made."""
    try:
        return tempfile.TemporaryFile()  # closed with the process
    except OSError:
        return open(os.devnull, "w+b")
