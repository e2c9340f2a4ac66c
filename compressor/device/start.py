"""Starts the program: streams, warnings and the room for numpy are seen to before anything else is loaded."""

from __future__ import annotations

import os
import sys


def start(launcher: str = "") -> int:
    """Do what the command line asks; the exit code. launcher: the path of run.py where that is what was started."""
    for number in (0, 1, 2):  # no file that is opened later is taken for a stream that is closed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if os.environ.pop("PYTHONWARNINGS", None):
        import warnings

        warnings.simplefilter("ignore")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it multiplies nothing here, and each thread takes 40 MB
    return _load() or _command(launcher)


def _load() -> int:
    """Load numpy and Pillow; 7 where the memory does not suffice for them."""
    import mmap

    try:
        mmap.mmap(-1, 96 * 2**20).close()  # OpenBLAS ends the process in its own words where it gets less
        import numpy  # noqa: F401
        import PIL.Image  # noqa: F401
    except (ImportError, MemoryError, OSError) as error:
        words = ("allocate memory", "map segment", "static tls")
        if not (isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)):
            raise
        problem = f"the memory does not suffice to load them ({error})"
        todo = "end other programs or raise the limit on memory (`ulimit -v`)"
        sys.stderr.write(f"run.py: numpy and Pillow: {problem}; {todo}\n")
        return 7
    return 0


def _command(launcher: str) -> int:
    import signal

    from . import program
    from .check import HANDLERS, INSIDE
    from .command import main
    from .manifest import RUNNER
    from .output import lost, tell
    from .serve import serve

    program.launcher = launcher
    if sys.stdout is None:
        lost.append(OSError(9, "it is closed"))
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a console that cannot show a class's name
    inside = sys.argv[1:2] == [INSIDE]
    for asked in (getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)):
        if not inside and signal.getsignal(asked) is signal.SIG_DFL:
            signal.signal(asked, signal.default_int_handler)
    try:
        return serve(HANDLERS, sys.argv[2:]) if inside else main()
    except KeyboardInterrupt:
        tell(f"{RUNNER}: interrupted; it has written nothing, start it again", sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(start())
