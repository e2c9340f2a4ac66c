"""The rounds of the latency experiment, read for the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compressor import statistics
from compressor.errors import IntegrityError
from compressor.evaluation.quality import Finding
from compressor.report.contract.rows import LatencyRow


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of an artifact; IntegrityError where it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(str(path), f"cannot be read ({error})", "run the step again with --fresh") from None
    if not isinstance(content, dict):
        raise IntegrityError(str(path), "holds no JSON object", "run the step again with --fresh")
    return content


@dataclass(frozen=True)
class Latencies:
    """The benchmark's rows and rounds, by the digest of the model's file. busy, process: of each round."""

    machine: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    rounds: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    busy: tuple[bool, ...] = ()
    process: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path | None) -> Latencies:
        """The experiment in a benchmark artifact's folder; an empty one for None."""
        if folder is None:
            return cls()
        facts, rounds = read_json(folder / "latency.json"), read_json(folder / "rounds.json")
        busy = tuple(bool(flag) for flag in rounds.pop("busy", ()))
        process = tuple(int(place) for place in rounds.pop("process", ()))
        by_model = {sha: medians for sha, medians in rounds.items() if isinstance(medians, dict)}
        return cls(facts.get("machine") or {}, facts.get("rows") or {}, by_model, busy, process)

    def of(self, sha: str | None) -> tuple[LatencyRow, ...] | None:
        """The rows of one model, in the benchmark's order; None where it was not timed."""
        rows = self.rows.get(sha or "")
        if not rows:
            return None
        return tuple(LatencyRow(**{key: row.get(key) for key in LatencyRow.model_fields}) for row in rows)

    def speedup(self, baseline: str | None, this: str | None) -> Finding | None:
        """The baseline's time over this model's, from the processes they share, for the first threads and batch."""
        first = self.of(this)
        if first is None or baseline is None or this is None:
            return None
        name = f"{first[0].threads}x{first[0].batch}"
        before, after = self.rounds.get(baseline, {}).get(name), self.rounds.get(this, {}).get(name)
        if not before or not after or not len(before) == len(after) == len(self.process):
            return None
        n = len(set(self.process))
        interval = statistics.ratio_interval(before, after, self.process)
        how = (
            f"median of the ratios of {n} process{'' if n == 1 else 'es'}, each the median over its rounds, "
            f"{first[0].threads} thread{'' if first[0].threads == 1 else 's'}, batch {first[0].batch}; "
            "order-statistic interval"
        )
        at = None if interval.low is None else statistics.scaled(interval, n)
        return Finding(interval.value, interval.low, interval.high, how, n, "processes", at)


def finite(value: Any) -> Any:
    """The value with every float that is not a number replaced by None, so that it can stand in JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value
