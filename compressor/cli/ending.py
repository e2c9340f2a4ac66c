"""How a command ends: what went wrong in sentences on standard error, and the exit code of the design's table."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from compressor.cli.console import Console, say
from compressor.cli.streams import lost_output
from compressor.errors import CompressError, Exit, InputError, Interrupted
from compressor.store.disk import foreseen

_LEAVES = frozenset({"run", "smoke", "report", "init", "verify", "export"})
"""Commands that leave something, or that answer by their exit code; the others are there for what they print."""


def code_of(command: Callable[[], object], arguments: Sequence[str]) -> int:
    """Call a command, tell what went wrong, and give the exit code, whatever happens."""
    with _stoppable():
        code = _called(command)
    lost = lost_output()
    if lost is not None and code == Exit.PASS and _is_read(arguments):
        _show(lost)
        return Exit.RESOURCES
    return code


def _called(command: Callable[[], object]) -> int:
    try:
        code = int(str(command() or 0))
        if code == Exit.INTERRUPTED:  # typer makes it of a Ctrl-C that nobody has put into words
            raise KeyboardInterrupt
        return code
    except KeyboardInterrupt:
        _show(Interrupted("", "interrupted", f"start again with: {typed()}"))
        return Exit.INTERRUPTED
    except Exception as error:
        told = _foreseen(error)
        if told is None:
            _bug(error)
            return Exit.BUG
        if type(error).__name__ != "NoArgsIsHelpError":  # its help has been printed
            _show(told)
        return told.exit_code


@contextmanager
def _stoppable() -> Iterator[None]:
    """Take a request to end (of `kill`, a container's end, a closed terminal) for a Ctrl-C, unless it is ignored."""
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = []
    with suppress(ValueError):  # not the main thread: whose program this is decides
        for one in asked:
            if signal.getsignal(one) is signal.SIG_DFL:
                signal.signal(one, signal.default_int_handler)
                taken.append(one)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def _foreseen(error: Exception) -> CompressError | None:
    """The sentence for an error that is not ours and yet no bug: a refusing disk, a mistake of the command line."""
    known = foreseen(error)
    if known is not None:
        return known
    told = getattr(error, "format_message", None)
    if told is None:
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "compress"
    return InputError(path, told().rstrip("."), f"see {path} --help")


def _is_read(arguments: Sequence[str]) -> bool:
    command = [word for word in arguments if not word.startswith("-")][:2]
    leaves = command[:1] and (command[0] in _LEAVES or command == ["store", "clean"])
    return not leaves or not {"-h", "--help"}.isdisjoint(arguments)


def typed() -> str:
    """The command as it was typed, to be shown where it can go on."""
    return shlex.join(["compress", *sys.argv[1:]])


def _show(error: CompressError) -> None:
    console = Console(stderr=True)
    for sentence in error.sentences():
        first, *rest = sentence.split("\n")
        console.say(("error: ", "bold red"), first)
        for line in rest:  # a command to copy
            console.say(line)
    if os.environ.get("COMPRESS_DEBUG"):
        print("".join(traceback.format_exception(error)), file=sys.stderr)


def _bug(error: Exception) -> None:
    say(f"a bug of ours: {type(error).__name__}: {error}; run again with --debug and report what it prints", err=True)
    if os.environ.get("COMPRESS_DEBUG"):
        print(traceback.format_exc(), file=sys.stderr)
