"""Starts the one child that does the work, listens to it, and turns its end into a sentence.

The parent stays light, so that it can outlive a child that the kernel kills for memory, and set what must be
set before torch loads: the number of threads and OpenMP's waiting policy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from compressor.deaths import death, lacked_memory, was_stopped
from compressor.device.memory import is_shortage, limit_in_words
from compressor.errors import CompressError, Exit, Interrupted, ResourceError
from compressor.machine import default_threads
from compressor.pipeline.run import events

OnEvent = Callable[[dict[str, Any]], None]

GRACE_SECONDS = 10.0
PACKAGES = Path(__file__).resolve().parents[3]


class ChildBug(CompressError):
    """The child died of something not foreseen; `trace` is for the log."""

    def __init__(self, what: str, trace: str) -> None:
        super().__init__("", what)
        self.trace = trace


class Died(ResourceError):
    """The child was ended from outside or by a library; what was finished is kept, and the run can go on."""


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """The child's environment: threads by affinity and cgroup, passive waiting, unless the user set them.

    The child does not look for modules in the current folder (`-P`), so it is told where a package that is not
    installed lies.
    """
    threads = str(default_threads())
    paths = [base.get("PYTHONPATH"), None if "site-packages" in PACKAGES.parts else str(PACKAGES)]
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        **base,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def run_child(request: Mapping[str, Any], on_event: OnEvent) -> None:
    """Run `compressor.pipeline.run.child` with a request and pass every event on.

    Raises:
        CompressError: what the child reported, or what its death means. KeyboardInterrupt becomes Interrupted.
    """
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "compressor.pipeline.run.child", str(writer), str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        pass_fds=(writer,), env=environment(os.environ), start_new_session=True,
    )  # fmt: skip
    os.close(writer)
    tail: deque[str] = deque(maxlen=60)
    listener = threading.Thread(target=_drain, args=(process.stdout, tail, on_event), daemon=True)
    listener.start()
    failure: CompressError | None = None
    step: dict[str, Any] = {}
    try:
        _write_request(process, request)
        with os.fdopen(reader, encoding="utf-8") as stream:
            for event in events.read(stream):
                if event["event"] == "error":
                    failure = events.to_error(event)
                elif event["event"] == "bug":
                    failure = ChildBug(event["what"], event["trace"])
                elif event["event"] == "step":
                    step = event
                elif event["event"] == "done":
                    step = {}
                on_event(event)
        process.wait()
    except KeyboardInterrupt:
        _stop(process)
        raise Interrupted("", "interrupted; everything finished so far is kept") from None
    finally:
        _stop(process)
        listener.join(timeout=5)
    if failure is not None:
        raise failure
    if process.returncode:
        raise _death(process.returncode, step, "".join(tail))


def _write_request(process: subprocess.Popen[str], request: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    try:
        json.dump(request, process.stdin)
        process.stdin.close()
    except BrokenPipeError:
        return


def _drain(stream: IO[str] | None, tail: deque[str], on_event: OnEvent) -> None:
    """Keep what libraries print: for the log, and for the message of a bug."""
    for line in stream or ():
        tail.append(line)
        on_event({"event": "output", "text": line.rstrip("\n")})


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _death(code: int, step: Mapping[str, Any], output: str) -> CompressError:
    """What the end of the child means. step: the event of the step that it was at, if any."""
    if was_stopped(code) or code == Exit.INTERRUPTED:
        return Interrupted("", "the working process was stopped; everything finished so far is kept")
    words = next((line.strip()[:200] for line in output.splitlines() if is_shortage(line)), None)
    if code > 0 and words is None:
        return ChildBug(f"the working process ended with exit code {code}", output)
    where = f"step {step['node']}" if step else ""
    how = death(code) if code < 0 else "ended"
    if words is not None:
        how = f"{how.partition(':')[0]}, for want of memory ({words}{limit_in_words()})"
    elif lacked_memory(code):
        how += limit_in_words()
    what = f"the working process {how}"
    todo = "see what ended it"
    if words is not None or lacked_memory(code):
        relief = step.get("relief")
        todo = f"free memory, or try {relief}" if relief else "free memory or use a smaller network"
    return Died(where, f"{what}; nothing is lost, everything finished so far is kept", todo)
