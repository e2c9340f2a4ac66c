"""Runs `run.py --check` on each bundle of a folder, in one process, for its import takes long on an emulated CPU.

`python checks.py FOLDER`: prints a JSON line for each FOLDER/NAME: exit code, and what was printed. FOLDER/run.py is
the product's runner.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    found = importlib.util.spec_from_file_location("run", folder / "run.py")
    assert found is not None
    assert found.loader is not None
    runner = importlib.util.module_from_spec(found)
    sys.modules["run"] = runner
    found.loader.exec_module(runner)
    # The process apart would be started by the host, which has no such Python.
    runner.check_apart = lambda bundle, threads, limits: runner._check_here(
        {"bundle": str(bundle), "threads": threads}, None
    )[0]
    for bundle in sorted(one.parent for one in folder.glob("*/bundle.json")):
        said, wrong = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(wrong):
            code = runner.main(["--bundle", str(bundle), "--check", "--json"])
        told = json.loads(said.getvalue()) if code == 0 else {"error": wrong.getvalue().strip()}
        print(json.dumps({"name": bundle.name, "exit": code, **told}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
