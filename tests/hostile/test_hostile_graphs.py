"""Bundles whose graph is valid protobuf and otherwise nonsense: `verify` refuses them in a sentence.

COMPRESS_FUZZ_SEED and COMPRESS_FUZZ_TIMES try others, and more of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from compressor.device.graphs import check_graph
from compressor.device.manifest import manifest_digest
from compressor.errors import Exit
from tests.exported import bundle, core_graph, world  # noqa: F401
from tests.hostile.graphs import WAYS, hostile

SEED = int(os.environ.get("COMPRESS_FUZZ_SEED", "0"))
TIMES = int(os.environ.get("COMPRESS_FUZZ_TIMES", "1"))


def test_graphs_of_a_bundle(bundle: Path, compress: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    facts = json.loads((folder / "bundle.json").read_text())
    for which, made in hostile(SEED, onnx.load(bundle / "model.onnx"), 8 * TIMES):
        content = made.SerializeToString()
        (folder / "model.onnx").write_bytes(content)
        facts["files"]["model.onnx"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        facts["digest"] = manifest_digest(facts)
        (folder / "bundle.json").write_text(json.dumps(facts))
        code, out, said = compress("verify", folder)
        assert code in (Exit.PASS, Exit.INTEGRITY), (which, said)
        assert (out + said).replace("\n", "").isprintable(), which
        assert "Traceback" not in said, which


@pytest.mark.parametrize("seed", range(SEED, SEED + 6 * TIMES))
def test_the_look_before_a_graph_is_loaded(seed: int, tmp_path: Path) -> None:
    """It reads what protobuf can hold without onnx, and raises nothing but its sentence."""
    for _, made in hostile(seed, core_graph(), 2 * len(WAYS)):
        path = tmp_path / "model.onnx"
        path.write_bytes(made.SerializeToString())
        for external in (False, True):
            with contextlib.suppress(ValueError):
                check_graph(path, external=external)
