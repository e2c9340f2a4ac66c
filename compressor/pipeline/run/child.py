"""The working process of a run: checks everything that can be checked, then runs the steps that need it.

Started by `supervise`; talks back through `events` on a file descriptor of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from typing import Any

from compressor.errors import Exit
from compressor.pipeline.run.events import Events
from compressor.store.disk import foreseen

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Read a request from standard input, do it, and exit with its code."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _die_with(parent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(int(Exit.INTERRUPTED)))
    events = Events(os.fdopen(descriptor, "w", encoding="utf-8"))
    try:
        work(json.load(sys.stdin), events)
    except Exception as problem:
        told = foreseen(problem)
        if told is None or told.exit_code is Exit.BUG:
            what = told.sentence() if told else f"{type(problem).__name__}: {problem}"
            events.send("bug", what=what, trace=traceback.format_exc())
            return int(Exit.BUG)
        events.error(told)
        return int(told.exit_code)
    return 0


def work(request: dict[str, Any], events: Events) -> None:
    """What the request asks for, in this process. Tests call it without a child."""
    from compressor.pipeline.plan.prepare import Request, fetch, prepare
    from compressor.pipeline.run.execute import Execution

    if "fetch" in request:
        fetch(request["fetch"])
        return
    Execution(prepare(Request.from_json(request)), events).run()


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent is gone, so that a killed run leaves nobody behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(int(Exit.INTERRUPTED))


if __name__ == "__main__":
    sys.exit(main())
