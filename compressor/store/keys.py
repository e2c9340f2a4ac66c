"""Keys: SHA-256 of canonical JSON, so that equal values have equal ones everywhere, and where a key's artifact lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, ASCII, tuples as lists, floats as `repr` writes them.

    >>> canonical_json({"b": (1, 2.0), "a": None})
    '{"a":null,"b":[1,2.0]}'

    Raises:
        ValueError: NaN or an infinity, which JSON cannot say.
        TypeError: a value that is no JSON, or keys that cannot be ordered.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def is_key(name: str) -> bool:
    """Whether a name is 64 hex digits."""
    return len(name) == 64 and set(name) <= set("0123456789abcdef")


def folder_of(root: Path, key: str) -> Path:
    """Where the artifact of a key lies in the store at `root`, or would.

    Raises:
        ValueError: no key.
    """
    if not is_key(key):
        raise ValueError(f"not a step key: {key!r}")
    return root / "artifacts" / key[:2] / key
