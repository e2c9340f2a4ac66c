"""bundle.json and the files that it lists, read without trust."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .graphs import LARGEST_FILE, check_graph
from .memory import short_of_memory
from .refused import ALTERED, NOT_A_BUNDLE, Refused, altered

SCHEMA = "compress.bundle/1"
MANIFEST, MODEL, SAMPLES = "bundle.json", "model.onnx", "samples.npz"
RUNNER, PACKAGE = "run.py", "runner"  # may lie in a bundle's folder, and are never listed
GRAPHS = (MODEL, "encoder.onnx", "decoder.onnx")
LISTED = frozenset({
    *GRAPHS, SAMPLES, "README.md", "model.sig", "model.cdx.json", *(f"{name}.sealed" for name in (*GRAPHS, SAMPLES)),
})  # fmt: skip
TOKENIZER_FILES = frozenset({
    "vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer.json",
    "tokenizer.model", "tokenizer_config.json", "sentencepiece.bpe.model", "spiece.model",
})  # fmt: skip
LARGEST_MANIFEST = 4 * 2**20


def canonical_json(value: Any) -> bytes:
    """The one spelling of a value: keys sorted, no spaces, ASCII, no NaN. Digests are made of it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii")


def manifest_digest(facts: Mapping[str, Any]) -> str:
    """SHA-256 of bundle.json's canonical JSON without its `digest`."""
    return hashlib.sha256(canonical_json({key: value for key, value in facts.items() if key != "digest"})).hexdigest()


def file_digest(*paths: Path) -> str:
    """SHA-256 of a file's bytes; of several files', one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def kind_of(path: Path) -> str:
    """`file`, or what else stands there: `missing`, `a link`, `a folder`, `no plain file`. Nothing is opened."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return "missing"
    if stat.S_ISREG(mode):
        return "file"
    return "a link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "no plain file"


def read_manifest(folder: Path) -> dict[str, Any]:
    """bundle.json, with its own digest checked. Refused where there is none (2), or it was altered (4)."""
    path = folder / MANIFEST
    kind = kind_of(path)
    if kind == "missing":
        raise Refused(NOT_A_BUNDLE, str(folder), f"holds no {MANIFEST}, so it is no bundle", "name the bundle's folder")
    if kind != "file":
        raise altered(str(path), f"is {kind}, not a file")
    if path.stat().st_size > LARGEST_MANIFEST:
        raise altered(str(path), f"is larger than {LARGEST_MANIFEST:,} bytes")
    try:
        facts = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise altered(str(path), f"is not JSON ({error})") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("schema"), str):
        raise altered(str(path), "is no bundle's description")
    if facts["schema"] != SCHEMA:
        problem = f"is a {facts['schema'][:80]!r}, not {SCHEMA!r}"
        raise Refused(NOT_A_BUNDLE, str(path), problem, "use the runner of its version")
    try:
        digest = manifest_digest(facts)
    except (ValueError, RecursionError):
        digest = ""
    if facts.get("digest") != digest:
        raise altered(str(path), "does not have the digest that it names")
    return facts


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def check_names(folder: Path, facts: Mapping[str, Any]) -> None:
    """Only files of a bundle are listed. Refused (4) names the first other one."""
    files = facts.get("files")
    wanted = {MODEL, SAMPLES} if has_samples(facts) else {MODEL}
    if not isinstance(files, dict) or not wanted <= set(files):
        raise altered(str(folder / MANIFEST), f"does not list {' and '.join(sorted(wanted))}")
    if SAMPLES not in wanted and SAMPLES in files:
        raise altered(str(folder / MANIFEST), f"lists {SAMPLES} and says that golden samples were left out")
    known = LISTED | (TOKENIZER_FILES & set(_strings(facts.get("tokenizer"))))
    for name, entry in files.items():
        if name not in known or not isinstance(entry, dict):
            raise altered(str(folder / MANIFEST), f"lists {name[:80]!r}, which is no file of a bundle")


def has_samples(facts: Mapping[str, Any]) -> bool:
    """Whether golden samples are in the bundle; `samples: false` in a pipeline leaves them out."""
    return facts.get("samples") is not False


def _strings(value: Any) -> list[str]:
    """All strings in a JSON value, the keys of objects included."""
    if isinstance(value, dict):
        return _strings([*value.keys(), *value.values()])
    if isinstance(value, list):
        return [found for one in value for found in _strings(one)]
    return [value] if isinstance(value, str) else []


def check_files(folder: Path, facts: Mapping[str, Any]) -> None:
    """Compare each listed file with its size and digest, graphs with their limits. Refused (4) names the first."""
    check_names(folder, facts)
    for name, entry in facts["files"].items():
        path = folder / name
        kind = kind_of(path)
        if kind != "file":
            raise altered(str(path), "is missing" if kind == "missing" else f"is {kind}, not a file")
        size = path.stat().st_size
        if size != entry.get("bytes") or size > LARGEST_FILE:
            raise altered(str(path), f"has {size:,} bytes and not the {entry.get('bytes')} that {MANIFEST} names")
        if file_digest(path) != entry.get("sha256"):
            raise altered(str(path), f"does not have the digest that {MANIFEST} names")
        if name in GRAPHS:
            try:
                check_graph(path)
            except ValueError as error:
                raise altered(str(path), str(error)) from None


@contextlib.contextmanager
def understood(folder: Path) -> Iterator[None]:
    """The digest only says that bundle.json is whole, not that its author knew the schema: Refused (4) where not."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        if short_of_memory(error):
            raise
        raise Refused(ALTERED, str(folder / MANIFEST), f"is no {SCHEMA} ({error!r})", "make the bundle again") from None
