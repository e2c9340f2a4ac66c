"""Where memory does not suffice every command says so and ends with 7, whichever library notices first."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compressor import errors
from compressor.bundle.copies import equip
from compressor.device.memory import short_of_memory
from compressor.errors import CompressError, Exit, InputError, Interrupted, ResourceError, StepError
from compressor.latency import experiment
from compressor.pipeline.run.supervise import ChildBug, _death
from tests.exported import bundle, world  # noqa: F401

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits addresses")


def limited(megabytes: int, *words: object) -> tuple[int, str]:
    """Exit code and standard error of a command that may have so many MB of addresses."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)

    done = subprocess.run(
        [sys.executable, *map(str, words)], preexec_fn=limit, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stderr


@LINUX
@pytest.mark.parametrize("megabytes", [60, 100, 130, 150, 170])
@pytest.mark.parametrize("what", ["verify", "check", "answer"])
def test_a_ladder_of_limits(bundle: Path, tmp_path: Path, what: str, megabytes: int) -> None:
    folder = equip(bundle, tmp_path / "device").folder
    with np.load(folder / "samples.npz") as stored:
        (tmp_path / "digit.png").write_bytes(stored["encoded_0"].tobytes())
    words = {
        "verify": ["-m", "compressor", "verify", folder],
        "check": [folder / "run.py", "--check"],
        "answer": [folder / "run.py", tmp_path / "digit.png"],
    }[what]
    code, said = limited(megabytes, *words)
    assert code in (0, 7), said
    assert "Traceback" not in said
    if megabytes < 120:
        assert code == 7
    if code == 7:
        assert "the memory does not suffice" in said.splitlines()[-1]


FULL = """
import os, resource
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
from compressor import scarce
scarce.prepare()
import numpy
with open("/proc/self/statm") as taken:
    bytes = int(taken.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + 2**22
resource.setrlimit(resource.RLIMIT_AS, (bytes, bytes))
numpy.linalg.inv(numpy.eye(50))
"""


@LINUX
def test_what_numpy_needs_it_takes_when_it_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@LINUX
def test_an_evaluation_that_a_library_ends_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("import os; os.kill(os.getpid(), 11)")
    (tmp_path / "x.onnx").write_bytes(b"x")
    (tmp_path / "p.yaml").write_text(
        "version: 1\nname: p\ntask: {type: image-classification, data: digits}\n"
        "steps: {a: {stage: finetune, model: resnet8, epochs: 1}}\n"
    )
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**33, 2**33)); "
        "from compressor.cli.app import main; import os; os.environ['PYTHONPATH'] = sys.argv.pop(); main()"
    )
    words = [sys.executable, "-c", code, "evaluate", "x.onnx", "--task", "p.yaml", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 7, done.stderr
    assert "the working process died by SIGSEGV: a library crashed, most often for want of memory" in done.stderr


@LINUX
def test_commands_that_need_little(tmp_path: Path) -> None:
    for words in (["--help"], ["stages"], ["store", "list", "--store", tmp_path]):
        code, said = limited(80, "-m", "compressor", *words)
        assert code == 0, said


@LINUX
def test_a_run_whose_process_cannot_load_its_libraries(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "version: 1\nname: p\ntask: {type: image-classification, data: digits}\n"
        "steps: {a: {stage: finetune, model: {name: mlperf_resnet8, widths: [4, 4, 8]}, epochs: 1}}\n"
    )
    words = ["-m", "compressor", "run", tmp_path / "p.yaml", "--store", tmp_path / "store", "--out", tmp_path / "run"]
    code, said = limited(400, *words)
    assert code == 7, said
    assert "the memory does not suffice" in said
    assert "`ulimit -v` allows 419 MB of addresses" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype("f4")),  # type: ignore[attr-defined]
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("can't start new thread"),
        SystemError("<built-in function compile> returned NULL without setting an exception"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"),
        RuntimeError("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 8589934592"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
        type("Fail", (Exception,), {"__module__": "onnxruntime.capi"})("Load model from a.onnx failed:std::bad_alloc"),
        OSError("libgomp.so.1: cannot allocate memory in static TLS block"),
        OSError(12, "Cannot allocate memory"),
        BlockingIOError(11, "Resource temporarily unavailable"),
    ],
    ids=lambda problem: f"{type(problem).__name__}-{str(problem)[:20]}",
)
def test_every_librarys_words(problem: Exception) -> None:
    assert short_of_memory(problem)
    wrapped = StepError("step a", "the graph cannot be written", "replace a part")
    wrapped.__cause__ = ValueError("outer")
    wrapped.__cause__.__context__ = problem
    found = errors.shortage(wrapped)
    assert isinstance(found, ResourceError)
    assert found.where == "step a"
    assert found.what.startswith("the memory does not suffice (")
    assert "smaller batch_size" in found.todo


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("7 classes"),
        ImportError("libfoo.so: failed to map segment from shared object: Operation not permitted"),
        ImportError("No module named 'onnxruntime'"),
        InputError("steps.out of memory", "no such class 'pthread_create'", "cannot allocate memory"),
        FileNotFoundError(2, "No such file or directory", "out of memory.yaml"),
        PermissionError(13, "Permission denied", "bad_alloc"),
        KeyError("bad_alloc"),
        ValueError("no item is called 'bad_alloc'"),
        ModuleNotFoundError("No module named 'bad_alloc'"),
        ImportError("cannot import name 'bad_alloc' from 'nets' (/out of memory/nets.py)"),
        ImportError("/out of memory/nets.so: undefined symbol"),
        RuntimeError("Error(s) in loading state_dict for Net: Missing key(s): \"out of memory.weight\", 'bad_alloc'."),
        type("NoSuchFile", (Exception,), {"__module__": "onnxruntime.capi"})("Load model from bad_alloc.onnx failed"),
        type("Fail", (Exception,), {"__module__": "onnxruntime.capi"})("Load model from bad_alloc.onnx failed:Corrupt"),
        type("RuntimeException", (Exception,), {"__module__": "onnxruntime.capi"})(
            "Non-zero status code while running Conv node. Name:'std::bad_alloc' Status Message: odd shapes"
        ),
    ],
    ids=str,
)
def test_other_words_are_not_about_memory(problem: Exception) -> None:
    assert not short_of_memory(problem)
    assert errors.shortage(problem) is None


def test_a_shortage_that_is_told_already_is_told_once() -> None:
    told = ResourceError("step a", "the memory does not suffice for a batch_size of 64", "try batch_size: 32")
    told.__cause__ = MemoryError()
    assert errors.shortage(told) is None


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE"])
def test_a_process_that_dies_says_where_and_what_is_kept(name: str) -> None:
    number = int(getattr(signal, name))
    died = _death(-number, {"node": "student", "relief": "batch_size: 32 (it was 64)"}, "")
    assert died.exit_code is Exit.RESOURCES
    assert died.where == "step student"
    assert f"the working process died by {name}" in died.what
    assert "nothing is lost, everything finished so far is kept" in died.what
    assert "try batch_size: 32 (it was 64)" in died.todo
    assert _death(-number, {}, "").where == ""


def test_other_ends_of_the_working_process() -> None:
    aborted = _death(1, {}, "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.\n")
    assert aborted.exit_code is Exit.RESOURCES
    assert "OpenBLAS error: Memory allocation still failed" in aborted.what
    thrown = _death(-int(signal.SIGABRT), {}, "x\nterminate called after throwing an instance of 'std::bad_alloc'\n")
    assert "for want of memory (terminate called after throwing" in thrown.what
    assert isinstance(_death(-int(signal.SIGTERM), {}, ""), Interrupted)
    assert isinstance(_death(1, {}, "something else"), ChildBug)


@pytest.mark.parametrize("line", ["KeyError: 'bad_alloc'", 'FileNotFoundError: "out of memory.yaml" is not there'])
def test_a_name_in_a_dead_process_last_words_is_not_about_memory(line: str) -> None:
    assert isinstance(_death(1, {}, f"{line}\n"), ChildBug)
    assert isinstance(experiment._failure(1, line, 8), StepError)


def test_the_latency_processes_end_likewise() -> None:
    for code, words in (
        (-9, ""),
        (-11, ""),
        (-6, "x"),
        (1, "libgomp: Thread creation failed: Resource temporarily unavailable"),
    ):
        found: CompressError = experiment._failure(code, words, 8)
        assert isinstance(found, ResourceError), words
        assert "use a batch size below 8" in found.todo
    assert isinstance(experiment._failure(1, "ValueError: odd", 8), StepError)


FACTORY = """\
import os, signal
from torch import nn

class Fragile(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number, self.head = number, nn.Linear(64, 10)

    def forward(self, x):
        if self.training and len(x) > 100:
            os.kill(os.getpid(), self.number)
        return self.head(x.flatten(1))
"""


def test_a_run_whose_process_dies_names_step_and_command(tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(FACTORY)
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text(
        "version: 1\nname: p\ntask: {type: image-classification, data: digits}\n"
        "steps: {a: {stage: finetune, epochs: 1, model: {factory: 'fragile:Fragile', args: {number: NUMBER}}}}\n".replace(
            "NUMBER", str(int(signal.SIGSEGV))
        )
    )
    words = ["-m", "compressor", "run", pipeline, "--store", tmp_path / "store", "--out", tmp_path / "run"]
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "step a: the working process died by SIGSEGV" in done.stderr
    assert "nothing is lost" in done.stderr
    assert f"then go on with: compress run {pipeline}" in done.stderr
    assert "bug of ours" not in done.stderr
