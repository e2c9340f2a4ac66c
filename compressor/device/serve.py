"""A process of its own for graphs from elsewhere, from inside, and what it and its parent tell each other."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import numpy as np

from .limits import ADDRESSES_MB
from .memory import address_limit, first_line, half_loaded, short_of_memory, text_of
from .refused import Refused

Message = tuple[dict[str, Any], "np.ndarray | None"]
Handler = Callable[[Mapping[str, Any], "np.ndarray | None"], Message]


def send(stream: IO[bytes], told: Mapping[str, Any], array: np.ndarray | None) -> None:
    """Write a message. told: JSON."""
    packed = io.BytesIO()
    if array is not None:
        np.save(packed, array, allow_pickle=False)
    head, body = json.dumps(told).encode(), packed.getbuffer()
    stream.write(struct.pack("<QQ", len(head), len(body)))
    stream.write(head)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> Message | None:
    """What the other side sent; None where it is gone."""
    sizes = stream.read(16)
    if len(sizes) < 16:
        return None
    head, body = struct.unpack("<QQ", sizes)
    told, packed = stream.read(head), stream.read(body)
    if len(told) < head or len(packed) < body:
        return None
    return json.loads(told), np.load(io.BytesIO(packed), allow_pickle=False) if packed else None


LARGEST_ANSWER = 2**28
Handlers = Mapping[str, Handler]


def serve(handlers: Handlers, words: Sequence[str], questions: Any = None, answers: Any = None) -> int:
    """Answer requests until there are no more. handlers: what may be asked for: (request, array) -> (answer, array).

    words: the parent's process id, and the MB of memory that may be taken. questions, answers: binary streams;
    standard input and output where they are left out, and what libraries print then goes to standard error.
    """
    end_with(int(words[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if questions is None:
        questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
    ready: dict[str, Any] = {}
    try:
        import onnxruntime  # noqa: F401  # what it takes is not the graph's
    except ImportError as error:
        if half_loaded(error):
            ready = {"short": first_line(error)}
    _bound(int(words[1]))
    send(answers, ready, None)
    while True:
        asked = receive(questions)
        if asked is None:
            return 0
        request, array = asked
        try:
            told, found = handlers[request["do"]](request, array)
            if found is not None and found.nbytes > LARGEST_ANSWER:
                raise MemoryError(f"an answer of {found.nbytes:,} bytes")
        except Refused as refused:
            told, found = {"refused": [refused.code, refused.place, refused.problem, refused.todo]}, None
        except Exception as error:
            if not short_of_memory(error):
                raise
            told, found = {"short": first_line(error)}, None
        send(answers, told, found)


def end_with(parent: int) -> None:
    """End this process when its parent does."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):  # no ctypes, or an emulator without this call
            import ctypes

            ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    if os.name == "posix":
        if os.getppid() != parent:
            os._exit(1)

        def look() -> None:
            while os.getppid() == parent:
                time.sleep(1)
            os._exit(1)

        threading.Thread(target=look, daemon=True).start()


def _bound(memory_mb: int) -> None:
    """No dump of a crash, and no single allocation far beyond what may be taken."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    taken = int(text_of("/proc/self/statm").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    wanted, (_, most) = taken + memory_mb * 10**6 + ADDRESSES_MB * 2**20, resource.getrlimit(resource.RLIMIT_AS)
    outside = address_limit()
    if outside is None or wanted < outside:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
