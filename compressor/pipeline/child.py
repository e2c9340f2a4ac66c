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

from compressor.errors import CompressError, Exit, ResourceError
from compressor.pipeline.events import Events
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
    except CompressError as error:
        if error.exit_code is Exit.BUG:
            events.send("bug", what=error.sentence(), trace=traceback.format_exc())
        else:
            events.error(error)
        return int(error.exit_code)
    except MemoryError:
        return _refused(ResourceError("", "the memory of this machine is used up", "try a smaller batch_size"), events)
    except Exception as problem:
        told = foreseen(problem)
        if told is not None:
            return _refused(told, events)
        events.send("bug", what=f"{type(problem).__name__}: {problem}", trace=traceback.format_exc())
        return int(Exit.BUG)
    return 0


def _refused(error: CompressError, events: Events) -> int:
    events.error(error)
    return int(error.exit_code)


def work(request: dict[str, Any], events: Events) -> None:
    """What the request asks for, in this process. Tests call it without a child."""
    from compressor.pipeline.execute import Execution
    from compressor.pipeline.prepare import Wanted, fetch, prepare

    if "fetch" in request:
        fetch(request["fetch"])
        return
    Execution(prepare(Wanted.of(request)), events).run()


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent is gone, so that a killed run leaves nobody behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(int(Exit.INTERRUPTED))


if __name__ == "__main__":
    sys.exit(main())
