"""One generator for each purpose, derived from (seed, purpose, numbers), and never one global stream."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def derive(seed: int, purpose: str, *numbers: int) -> int:
    """A seed below 2**63 that depends on all arguments: the same on every machine and Python."""
    text = ":".join([str(seed), purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def begin(seed: int) -> None:
    """Let the global generators begin at a seed: torch's, and numpy's and Python's, which users' networks draw from."""
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def kept(devices: Sequence[int] | None = ()) -> Iterator[None]:
    """The global generators are afterwards what they were before. devices: GPUs whose are kept too; None for all."""
    import numpy as np
    import torch

    legacy: Any = np.random.get_state()
    own = random.getstate()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        np.random.set_state(legacy)
        random.setstate(own)
