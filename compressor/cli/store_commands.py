"""`compress store list` and `compress store clean`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from compressor.cli.console import say
from compressor.errors import InputError
from compressor.printable import printable
from compressor.store.clean import Freed, Row
from compressor.store.store import Store

_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DECIMAL = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3}
_BYTES = {"B": 1, **_DECIMAL, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def show(store: Path | None) -> None:
    """Print what lies in the store, the last used first.

    Raises:
        InputError: a file stands where the store should be.
    """
    place = _there(store)
    rows = place.list()
    for line in table(rows, datetime.now(UTC)):
        say(line)
    say(f"{size_words(sum(row.bytes for row in rows))} in {place.root}")


def clean(store: Path | None, *, older_than: str | None, max_size: str | None) -> None:
    """Make room in the store and print what went.

    Raises:
        InputError: a time or a size that is none, or a file where the store should be.
        ResourceError: the store cannot be written.
    """
    age = None if older_than is None else duration(older_than)
    limit = None if max_size is None else size(max_size)
    place = _there(store)
    for line in told(place.clean(age, limit), place.root):
        say(line)


def _there(store: Path | None) -> Store:
    place = Store(store)
    place.check_place()
    return place


def duration(text: str) -> timedelta:
    """A time as people write it: `45m`, `12h`, `30d`, `2w`.

    Raises:
        InputError: it is not written so.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip())
    if not found:
        raise InputError("--older-than", f'"{text}" is no length of time', "write it as 45m, 12h, 30d or 2w")
    try:
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        raise InputError("--older-than", f'"{text}" is longer than a computer can count', "write less") from None


def size(text: str) -> int:
    """Bytes from a size as people write it: `500MB` is 500 million, `2GiB` is 2 * 2^30, a bare number is bytes.

    Raises:
        InputError: it is not written so.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?", text.strip(), re.IGNORECASE)
    unit = (found[2] or "B").upper() if found else ""
    if not found or unit not in _BYTES:
        raise InputError("--max-size", f'"{text}" is no size', "write it as 500MB, 5GB or 2GiB")
    return int(float(found[1]) * _BYTES[unit])


def size_words(count: int) -> str:
    """A number of bytes with three digits: `1.21 GB`."""
    for unit, worth in _DECIMAL.items():
        if count >= worth:
            value = count / worth
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} {unit}"
    return f"{count} B"


def table(rows: tuple[Row, ...], now: datetime) -> list[str]:
    """A line a row, in columns, after a line of their names."""
    if not rows:
        return ["the store is empty"]
    cells = [("KEY", "WHAT", "STEP", "SIZE", "USED")]
    for row in rows:
        what = row.stage if row.stage else {"work": "interrupted work"}.get(row.kind, row.kind)
        key, what, step = map(printable, (row.key[:12], what, row.step or "-"))
        cells.append((key, what, step, size_words(row.bytes), _ago(now.timestamp() - row.used)))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def told(freed: Freed, root: Path) -> list[str]:
    """What cleaning did, in sentences."""
    parts = [_count(len(freed.rows), "artifact")] if freed.rows else []
    parts += [_count(freed.leftovers, "leftover") + " of interrupted processes"] if freed.leftovers else []
    what = " and ".join(parts) or "nothing"
    lines = [f"removed {what}, {size_words(freed.bytes)}; {size_words(freed.bytes_left)} left in {root}"]
    if freed.spared:
        lines.append(f"{_count(len(freed.spared), 'artifact')} stayed because a process at work needs them")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ago(seconds: float) -> str:
    for unit, words in (("d", "days"), ("h", "hours"), ("m", "minutes")):
        if seconds >= 2 * _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])} {words} ago"
    return "just now"
