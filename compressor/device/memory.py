"""Memory that does not suffice: how libraries say so, each in its own words, and how much there may be."""

from __future__ import annotations

import errno
import mmap
import re
from pathlib import Path

from .refused import RESOURCES, Refused

try:
    import resource
except (ImportError, MemoryError):  # Windows limits nothing
    resource = None  # type: ignore[assignment]


def address_limit() -> int | None:
    """Bytes of addresses that this process may have (`ulimit -v`); None where nobody limits them."""
    if resource is None:
        return None
    found = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if found == resource.RLIM_INFINITY else found


THREAD_BYTES = 10 * 2**20  # the usual stack of 8 MiB, and what belongs to it
SHORTAGES = (
    "out of memory", "allocate memory", "not enough memory", "unable to allocate", "bad_alloc", "bad allocation",
    "memory allocation", "could not allocate", "failed to allocate", "defaultcpuallocator", "start new thread",
    "pthread_create", "resource temporarily unavailable", "static tls", "failed to map segment", "memoryerror",
    "returned null without setting an exception",
)  # fmt: skip
"""What libraries say, each in its own words, when memory, addresses or threads run out."""


_NAMES = re.compile(
    r"""\bName:\s*'[^']*'|\bmodel from .* failed:"""
    r"""|(?<!\w)(?P<quote>['"`])(?!std::bad_alloc\b)(?:(?!(?P=quote)).)*(?P=quote)(?!\w)"""
)
"""Where libraries repeat a foreign name: what stands in quotes, and the file that onnxruntime was given."""
_SHORT = frozenset({errno.ENOMEM, errno.EAGAIN})
_WITHOUT_A_TYPE = ("RuntimeError", "OutOfMemoryError", "AcceleratorError", "SystemError", "SafetensorError")
_OF_ONNXRUNTIME = ("Fail", "RuntimeException", "EPFail")


def is_shortage(words: str) -> bool:
    """Whether a library's words, without the names that it repeats, are about memory, addresses or threads that ran
    out."""
    said = _NAMES.sub("", words).lower()
    return any(one in said for one in SHORTAGES) and "not permitted" not in said


def is_short(error: BaseException) -> bool:
    """Whether an exception is about memory, addresses or threads that ran out: by its type or its number, and by its
    words only where the type says nothing."""
    kind = type(error)
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _SHORT
    if kind.__module__.startswith("onnxruntime"):
        return kind.__name__ in _OF_ONNXRUNTIME and is_shortage(str(error))
    if kind is ImportError:  # `FILE: what the loader says`
        said = str(error)
        return not said.startswith("cannot import name") and is_shortage(said.rpartition(": ")[2])
    told = kind.__name__ in _WITHOUT_A_TYPE or kind is OSError
    return isinstance(error, MemoryError) or (told and is_shortage(str(error)))


def short_of_memory(error: BaseException | None) -> bool:
    """Whether an exception, or what led to it, tells of memory (a GPU's too), addresses or threads that ran out."""
    return shortage_in(error) is not None


def shortage_in(error: BaseException | None) -> BaseException | None:
    """The exception, or the one that led to it, that tells of it."""
    for _ in range(20):
        if error is None or is_short(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def short_of(place: str, told: str) -> Refused:
    """The machine, or a limit on this process, does not suffice."""
    problem = f"the memory does not suffice ({told}{limit_in_words()})"
    return Refused(RESOURCES, place, problem, "free memory or raise the limit")


def limit_in_words() -> str:
    """What a person must know of a limit on this process's addresses, to follow other words."""
    limit = address_limit()
    return "" if limit is None else f"; `ulimit -v` allows {limit // 10**6:,} MB of addresses"


def first_line(error: BaseException) -> str:
    """What an error says, in one line that is not too long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200]


def room_for_threads(count: int) -> None:
    """Called before onnxruntime starts a pool of threads: it waits for ever for those that it could not start.

    Raises:
        MemoryError: the addresses do not suffice for them.
    """
    if address_limit() is not None:
        ask((count + 1) * THREAD_BYTES, f"{count} threads")


def ask(size: int, what: str) -> None:
    """Take so many bytes and give them back; MemoryError where they are not there."""
    try:
        mmap.mmap(-1, size).close()
    except OSError as error:
        raise MemoryError(f"no {size // 10**6} MB for {what}: {error.strerror}") from None


def half_loaded(error: ImportError) -> bool:
    """Whether onnxruntime is there, and the addresses that this process may have do not suffice to load it."""
    missing = isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime"
    return short_of_memory(error) or (address_limit() is not None and not missing)


def text_of(path: str) -> str:
    """The text of one of the system's files; empty where it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
