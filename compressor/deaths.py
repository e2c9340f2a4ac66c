"""What the end of a process by a signal means, in words."""

from __future__ import annotations

import signal

_STOPS = ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT")
_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSYS", "SIGTRAP")
_OTHERS = {
    "SIGKILL": "the system, or somebody, killed it, most often for want of memory",
    "SIGILL": "a library met an instruction that this CPU does not know",
    "SIGXCPU": "it used up the processor time that it may take (`ulimit -t`)",
}


def was_stopped(code: int) -> bool:
    """Whether a process that ended with `code`, as `subprocess` gives it, was asked from outside to end."""
    return code < 0 and _name(code) in _STOPS


def lacked_memory(code: int) -> bool:
    """Whether such an end is most often one for want of memory."""
    return code < 0 and _name(code) in ("SIGKILL", *_CRASHES)


def death(code: int) -> str:
    """`died by NAME: what that means`, for the negative code of a process that a signal ended."""
    name = _name(code)
    crashed = "a library crashed, most often for want of memory"
    return f"died by {name}: {_OTHERS.get(name, crashed if name in _CRASHES else 'it was ended from outside')}"


def _name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:  # a signal that only real-time systems use has a number and no name
        return f"signal {-code}"
