"""`python -m compressor.latency.probe`: what a fresh process pays for one model: loading, first run, peak memory.

Reads one JSON object {path, threads, batch, seed, runs} from stdin and prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def peak_memory_bytes() -> int | None:
    """The largest resident memory this process has had, the interpreter and onnxruntime included."""
    status = Path("/proc/self/status")
    if status.is_file():  # ru_maxrss would survive the exec and show the parent's torch
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> int:
    """Answer one request."""
    request = json.load(sys.stdin)
    from compressor.latency.session import make_feed, open_session

    runtime = peak_memory_bytes()
    start = time.perf_counter()
    session = open_session(request["path"], request["threads"])
    loaded = time.perf_counter()
    feed = make_feed(session, request["batch"], request["seed"])
    before = time.perf_counter()
    session.run(None, feed)
    first = time.perf_counter()
    for _ in range(request.get("runs", 3)):
        session.run(None, feed)
    answer = {
        "load_ms": (loaded - start) * 1000,
        "first_ms": (first - before) * 1000,
        "peak_memory_bytes": peak_memory_bytes(),
        "runtime_memory_bytes": runtime,
    }
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
