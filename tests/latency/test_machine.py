"""What the machine says about itself, from written /proc and /sys trees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compressor.latency import machine

HASWELL = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3"
CASCADE = HASWELL + " avx512f avx512bw avx512cd avx512dq avx512vl avx512_vnni"


@pytest.mark.parametrize(
    ("architecture", "flags", "level"),
    [
        ("x86_64", "", "x86-64"),
        ("x86_64", HASWELL, "x86-64-v3"),
        ("AMD64", CASCADE, "x86-64-v4+vnni"),
        ("x86_64", CASCADE + " avx512_bf16 amx_int8 amx_bf16", "x86-64-v4+vnni+bf16+amx-int8+amx-bf16"),
        ("x86_64", CASCADE.replace("avx2 ", ""), "x86-64-v2+vnni"),  # a level needs all those below it
        ("aarch64", "asimd asimddp i8mm bf16", "aarch64+bf16+dot+i8mm"),
        ("arm64", "", "aarch64"),
    ],
)
def test_level(architecture: str, flags: str, level: str) -> None:
    assert machine.level_of(architecture, frozenset(flags.split())) == level


def test_bf16_needs_units_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags, answer in ((CASCADE, False), (CASCADE + " avx512_bf16", True), (CASCADE + " amx_bf16", True)):
        monkeypatch.setattr(machine, "_flags", lambda flags=flags: frozenset(flags.split()))
        assert machine.has_bf16() is answer


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = {"proc/self/cgroup": "0::/pod/box\n", "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n"}
V1 = {"proc/self/cgroup": "3:cpu,cpuacct:/box\n2:memory:/box\n"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (V2, None),
        ({**V2, "sys/fs/cgroup/pod/cpu.max": "150000 100000\n"}, 1.5),
        ({**V2, "sys/fs/cgroup/pod/cpu.max": "50000 100000\n", "sys/fs/cgroup/cpu.max": "400000 100000"}, 0.5),
        ({**V1, "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "-1",
          "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000"}, None),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 2.0),
    ],
)  # fmt: skip
def test_quota_of_the_container(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert machine.cpu_quota(write(tmp_path, files)) == quota


def test_threads_follow_affinity_and_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, quota, threads in (("a", "max 100000", 8), ("b", "300000 100000", 3), ("c", "10000 100000", 1)):
        root = write(tmp_path / name, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": quota})
        assert machine.default_threads(root) == threads


def test_memory_is_the_lower_of_machine_and_container(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/meminfo": "MemTotal:  1000 kB\nMemFree: 1 kB\n", "proc/self/cgroup": "0::/box\n"})
    assert machine.memory_bytes(root) == 1_024_000
    write(tmp_path, {"sys/fs/cgroup/box/memory.max": "max\n", "sys/fs/cgroup/memory.max": "500000\n"})
    assert machine.memory_bytes(root) == 500_000


def test_ticks_count_steal_apart(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/stat": "cpu  10 1 20 300 5 2 3 40 0 0\ncpu0 1 1 1 1\n"})
    assert machine.ticks(root) == machine.Ticks(busy=36, steal=40, total=381)
    assert machine.steal(root) == pytest.approx(40 / 381)
    assert machine.ticks(tmp_path / "nowhere") is None
    assert machine.Ticks(30, 5, 100) - machine.Ticks(10, 1, 60) == machine.Ticks(20, 4, 40)


def test_description_is_of_this_machine_and_needs_only_the_standard_library() -> None:
    about = machine.describe()
    assert set(about) == {"cpu", "isa", "cores", "governor", "load", "memory_bytes", "os", "python", "threads"}
    assert 1 <= about["threads"] <= about["cores"]
    assert str(about["cores"]) in machine.identity()
    assert machine.isa_level() in machine.identity()
    heavy = "('numpy', 'pydantic', 'torch', 'onnxruntime')"
    code = f"import sys, compressor.latency.machine as m; m.describe(); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
