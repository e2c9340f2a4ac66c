"""One generator for each purpose, derived from (seed, purpose, numbers), and never one global stream."""

from __future__ import annotations

import hashlib


def derive(seed: int, purpose: str, *numbers: int) -> int:
    """A seed below 2**63 that depends on all arguments: the same on every machine and Python."""
    text = ":".join([str(seed), purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
