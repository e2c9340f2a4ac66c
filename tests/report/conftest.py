"""A run's artifacts made by hand: real files, through the real build, without a single training step."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest

from compressor.report.contract.report import Report
from compressor.report.judgement.build import build
from compressor.report.judgement.facts import ModelFacts, RunFacts
from compressor.report.pages.html import figures_of
from compressor.report.pages.save import render
from compressor.tasks.classification_metrics import accuracy
from tests.evaluations import written

N, CLASSES = 2_000, 10
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SHAS = {
    step: f"{number:x}" * 64 for number, step in enumerate(("teacher", "plain", "student", "slim", "int8", "edge"), 1)
}
ACCURACY = {"teacher": 0.934, "plain": 0.868, "student": 0.882, "slim": 0.876, "int8": 0.873, "edge": 0.873}
MEDIAN_MS = {"teacher": 4.1, "plain": 0.52, "student": 0.52, "slim": 0.41, "int8": 0.21, "edge": 0.22}
SIZE = {"teacher": 3_450_000, "plain": 318_000, "student": 318_000, "slim": 241_000, "int8": 79_000, "edge": 79_400}
MACS = {"teacher": 125_490_000, "plain": 12_501_000, "student": 12_501_000, "slim": 8_750_000}
PARAMS = {"teacher": 853_018, "plain": 78_666, "student": 78_666, "slim": 59_100}
FLOAT_OPERATORS = {"FusedConv": 21, "Conv": 2, "Add": 9, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
INT8_OPERATORS = {
    "QLinearConv": 9,
    "QLinearAdd": 3,
    "QGemm": 1,
    "QuantizeLinear": 1,
    "DequantizeLinear": 1,
    "Flatten": 1,
}


def answers_of(
    accuracy: float, targets: np.ndarray, difficulty: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Answers that err on the hard samples first, so that models err on the same ones."""
    hard = difficulty + generator.normal(0, 0.05, len(targets))
    wrong = hard > np.quantile(hard, accuracy)
    shifted = (targets + generator.integers(1, 4, len(targets))) % CLASSES
    return np.where(wrong, shifted, targets)


def write_evaluation(
    folder: Path, step: str, right: np.ndarray, answers: np.ndarray, targets: np.ndarray, **facts: object
) -> Path:
    """An evaluation artifact's files, as the evaluate stage leaves them."""
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    np.add.at(confusion, (targets, answers), 1)
    int8 = step in ("int8", "edge")
    about = {
        "precision": "int8" if int8 else "float32",
        "size_bytes": SIZE[step],
        "params": PARAMS.get(step),
        "macs": MACS.get(step),
        "operators": INT8_OPERATORS if int8 else FLOAT_OPERATORS,
        "float_convolutions": 0 if int8 else 23,
        "model_sha256": SHAS[step],
        "input": {"name": "pixels", "dtype": "uint8", "shape": (None, 32, 32, 3), "layout": "NHWC", "meaning": "a picture"},
        "output": {"name": "probabilities", "dtype": "float32", "shape": (None, 10), "layout": "", "meaning": "one a class"},
        "parity": {"max_abs": 0.31, "max_rel": 0.04, "cosine": 0.9991, "sqnr_db": 27.4, "same_answers": 0.987, "n": 1000},
        "breakdown": {"per_class": [{"name": name} for name in NAMES], "confusion": confusion.tolist()},
    }  # fmt: skip
    return written(folder, right, **{**about, **facts})


def write_latency(folder: Path, medians: dict[str, float], rounds: int = 30, processes: int = 10) -> Path:
    """A benchmark artifact's files."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(7)
    shared = 1 + 0.02 * generator.standard_normal(rounds)
    rows, raw = {}, {}
    for step, middle in medians.items():
        times = middle * shared * (1 + 0.01 * generator.standard_normal(rounds))
        times[5] *= 1.3
        ordered = np.sort(times)
        p50 = float(np.median(times))
        low, high = float(ordered[9]), float(ordered[-10])
        rows[SHAS[step]] = [
            {
                "threads": threads,
                "batch": 1,
                "p50_ms": p50 / threads**0.7,
                "low_ms": low / threads**0.7,
                "high_ms": high / threads**0.7,
                "p90_ms": p50 * 1.05 / threads**0.7,
                "p95_ms": p50 * 1.09 / threads**0.7,
                "p99_ms": p50 * 1.31 / threads**0.7,
                "samples": 6_000,
                "rounds": rounds,
                "processes": processes,
                "load_ms": 18.2,
                "first_ms": 2.9,
                "throughput_per_s": 1000 / p50,
                "peak_memory_bytes": 61_000_000,
            }
            for threads in (1, 2)
        ]
        raw[SHAS[step]] = {"1x1": times.tolist(), "2x1": (times / 2**0.7).tolist()}
    machine = {
        "cpu": "Intel(R) Xeon(R) Platinum 8581C (6/207/2)",
        "isa": "x86-64-v4 with avx2, avx512f, avx512_vnni, amx_int8",
    }
    (folder / "latency.json").write_text(json.dumps({"machine": machine, "rows": rows}))
    busy, process = (
        [number == 5 for number in range(rounds)],
        [number * processes // rounds for number in range(rounds)],
    )
    (folder / "rounds.json").write_text(json.dumps({**raw, "busy": busy, "process": process}))
    return folder


def picture(seed: int) -> str:
    """A small picture as a data URI."""
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def curves(last: float) -> list[dict[str, float]]:
    """Ten epochs of a training that goes well."""
    return [
        {
            "epoch": epoch,
            "train_loss": 1.9 * 0.78**epoch + 0.2,
            "validation_loss": 1.9 * 0.8**epoch + 0.3,
            "validation_accuracy": last - 0.5 * 0.65**epoch,
            "learning_rate": 0.1 * (1 - epoch / 10),
        }
        for epoch in range(1, 11)
    ]


def run_facts(root: Path, **changes: object) -> RunFacts:
    """All that the report of a chain from a teacher to an exported int8 is made from, in folders under root."""
    generator = np.random.default_rng(3)
    targets = generator.integers(0, CLASSES, N)
    difficulty = generator.random(N) + 0.12 * np.isin(targets, (3, 5))
    unseen = np.arange(N) >= 500
    rows = []
    stages = {
        "teacher": "load",
        "plain": "finetune",
        "student": "distill",
        "slim": "prune",
        "int8": "quantize",
        "edge": "export",
    }
    parents = {"slim": "student", "int8": "slim", "edge": "int8"}
    shipped = None
    for step, stage in stages.items():
        answers = answers_of(ACCURACY[step], targets, difficulty, generator) if step != "edge" else shipped
        shipped = answers
        rows.append(
            ModelFacts(
                step=step,
                stage=stage,
                kind="bundle" if stage == "export" else "onnx" if stage == "quantize" else "model",
                key=SHAS[step][::-1],
                parent=parents.get(step),
                teacher="teacher" if step in ("student", "slim", "int8") else None,
                reused=step == "teacher",
                seconds={"teacher": 2.1, "plain": 612.0, "student": 703.4, "slim": 241.0, "int8": 96.0, "edge": 4.0}[
                    step
                ],
                evaluation=write_evaluation(
                    root / step, step, answers == targets, answers, targets, arrays={"unseen": unseen}
                ),
                facts={"curves": curves(ACCURACY[step])} if step not in ("teacher", "edge") else {},
            )
        )
    comparison = root / "comparison"
    comparison.mkdir()
    worst = [
        {
            "sample": 17 * number,
            "picture": picture(number),
            "target": NAMES[number % 10],
            "baseline_answer": NAMES[number % 10],
            "answer": NAMES[(number + 2) % 10],
            "confidence": 0.99999 - 0.02 * number,
        }
        for number in range(20)
    ]
    (comparison / "comparison.json").write_text(json.dumps({"worst": worst, "lost": 143, "won": 21}))
    facts: dict[str, object] = {
        "name": "cifar10",
        "created": "2026-11-22T12:00:00+00:00",
        "compress_version": "0.1.0",
        "pipeline_text": "version: 1\nname: cifar10\n# a <b>comment</b> & more\n",
        "pipeline_sha256": "ab" * 32,
        "task": {
            "type": "image-classification",
            "metric": "accuracy",
            "data": "cifar10",
            "fingerprint": "cd" * 32,
            "samples": {"train": 50_000, "validation": 500, "test": N, "test_unseen": N},
        },
        "metrics": {"accuracy": accuracy.METRIC},
        "rows": rows,
        "baseline": "teacher",
        "ship": "edge",
        "budget": [
            {"measure": "accuracy", "min": 0.85},
            {"measure": "accuracy", "max_drop": 0.065},
            {"measure": "latency_p50_ms", "max": 1.0},
            {"measure": "size_mb", "max": 0.2},
            {"measure": "speedup", "min": 4.0},
        ],
        "latency": write_latency(root / "latency", MEDIAN_MS),
        "comparison": comparison,
        "environment": {
            "cpu": "Intel(R) Xeon(R) Platinum 8581C (6/207/2)",
            "isa": "x86-64-v4 with avx2, avx512f, avx512_vnni, amx_int8",
            "cores": 2,
            "governor": None,
            "load": 0.4,
            "memory_bytes": 8_321_499_136,
            "os": "Linux 6.1.0",
            "python": "3.13.1",
            "threads": 2,
            "libraries": {"torch": "2.15.0", "onnxruntime": "1.32.0"},
        },
        "reproduce": ["compress run cifar10.yaml --device cpu", "compress verify bundle"],
    }
    return RunFacts(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    return run_facts(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture(scope="session")
def report(facts: RunFacts) -> Report:
    return build(facts)


@pytest.fixture(scope="session")
def rendered(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder that tests take unchanged figures from, since drawing them takes a second."""
    folder = tmp_path_factory.mktemp("rendered")
    render(report, folder)
    return folder


@pytest.fixture(scope="session")
def drawn(rendered: Path) -> dict[tuple[str, str], str]:
    return figures_of(rendered / "report.html")
