"""Runs `run.py --check` on each bundle of a folder, in one process, for its import takes long on an emulated CPU.

`python checks.py FOLDER`: prints a JSON line for each FOLDER/NAME: exit code, and what was printed. FOLDER/runner/ is
the product's runner.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    command, handlers = (importlib.import_module(f"runner.{name}") for name in ("command", "check"))
    # The process apart would be started by the host, which has no such Python.
    command.check_apart = lambda bundle, threads, limits: handlers.HANDLERS["check"](
        {"bundle": str(bundle), "threads": threads}, None
    )[0]
    for bundle in sorted(one.parent for one in folder.glob("*/bundle.json")):
        said, wrong = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
            code = command.main(["--bundle", str(bundle), "--check", "--json"])
        told = json.loads(said.getvalue()) if code == 0 else {"error": wrong.getvalue().strip()}
        print(json.dumps({"name": bundle.name, "exit": code, **told}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
