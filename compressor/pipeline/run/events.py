"""What the child of a run tells its parent: one JSON object a line on a pipe of their own.

`checked` ends the checks before the first step; `step` begins a node, `progress` and `say` come from within it,
`done` ends it; `waiting` names who holds a lock; `error` carries a CompressError across; `bug` a traceback. The parent
adds `verdict` at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import IO, Any

from compressor.errors import BY_EXIT, CompressError, Exit


class Events:
    """The child's end of the pipe. A parent that is gone ends the child."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def send(self, event: str, **fields: Any) -> None:
        """Send one event, at once.

        Raises:
            SystemExit: nobody reads any more.
        """
        try:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            raise SystemExit(int(Exit.INTERRUPTED)) from None

    def error(self, error: CompressError) -> None:
        """Send a user's error, with those that were found beside it."""
        parts = [(one.where, one.what, one.todo) for one in (error, *error.others)]
        self.send("error", exit_code=int(error.exit_code), parts=parts)


class StepProgress:
    """The `Progress` of one node: rate-limits `advance`, so that a fast loop does not talk more than it works."""

    def __init__(self, events: Events, node: str, interval: float = 0.1) -> None:
        self._events, self._node, self._interval = events, node, interval
        self._last = 0.0

    def say(self, text: str) -> None:
        """Pass one line on."""
        self._events.send("say", node=self._node, text=text)

    def advance(self, done: int, total: int, unit: str, **numbers: float) -> None:
        """Pass the position on, at most every `interval` seconds and at both ends."""
        now = time.monotonic()
        if done in (0, 1, total) or now - self._last >= self._interval:
            self._last = now
            self._events.send("progress", node=self._node, done=done, total=total, unit=unit, numbers=numbers)


def read(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """The events of a pipe until it closes; a last line cut short by a killed child is dropped."""
    for line in stream:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict):
            yield event


def to_error(event: dict[str, Any]) -> CompressError:
    """The error that an `error` event carries."""
    kind = BY_EXIT[Exit(event["exit_code"])]
    first, *rest = [kind(*parts) for parts in event["parts"]]
    first.others = tuple(rest)
    return first
