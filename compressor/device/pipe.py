"""What two processes tell each other through a pipe: facts as JSON, and an array where there is one."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

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
