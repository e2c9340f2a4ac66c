"""A process of its own for graphs from elsewhere, forked: an emulator goes along with it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from .limits import bare_environment
from .serve import Handlers, serve


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
