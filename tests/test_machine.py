"""What the machine says about itself, from written /proc and /sys trees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compressor import machine

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
    code = f"import sys, compressor.machine as m; m.describe(); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_old_kernel_tells_less_of_its_time(tmp_path: Path) -> None:
    assert machine.ticks(write(tmp_path, {"proc/stat": "cpu  4 3 2 1\n"})) == machine.Ticks(busy=9, steal=0, total=10)
    assert machine.steal(write(tmp_path, {"proc/stat": "cpu  0 0 0 0 0 0 0 0\n"})) is None
    assert machine.ticks(write(tmp_path, {"proc/stat": "intr 4 3 2 1\n"})) is None
    every = machine.ticks(write(tmp_path, {"proc/stat": "cpu  1 2 4 8 16 32 64 128 256 512\n"}))
    assert every == machine.Ticks(busy=1 + 2 + 4 + 32 + 64, steal=128, total=255)


@pytest.mark.parametrize(("quota", "threads"), [(140, 1), (150, 2), (249, 2), (250, 3), (40, 1), (9900, 8)])
def test_a_quota_is_rounded_to_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    root = write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": f"{quota}000 100000"})
    assert machine.default_threads(root) == threads


def test_a_quota_of_no_time_is_none(tmp_path: Path) -> None:
    for text in ("100000 0", "100000", "max 100000", "-1 100000", "a b"):
        root = write(tmp_path, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": text})
        assert machine.cpu_quota(root) is None


def test_memory_of_an_old_container(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "2:memory:/box\n5:blkio:/box\nodd\n", "proc/meminfo": "MemTotal: 10 kB\n",
             "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "2048", "sys/fs/cgroup/blkio/box/memory.max": "1"}  # fmt: skip
    assert machine.memory_bytes(write(tmp_path, files)) == 2048
    assert machine.memory_bytes(tmp_path / "nowhere") is None


def test_the_clock_is_the_mean_of_all_cpus(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": "cpu MHz\t: 1000.04\nmodel: 1\n\ncpu MHz\t: 2000.5\n",
             "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"}  # fmt: skip
    root = write(tmp_path, files)
    assert machine.frequency_mhz(root) == 1500.3  # 1500.27
    assert machine.governor(root) == "powersave"
    assert machine.frequency_mhz(tmp_path / "nowhere") is None
    assert machine.governor(tmp_path / "nowhere") is None


def test_a_processor_is_told_by_its_first_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(text: str) -> tuple[str, str]:
        monkeypatch.setattr(machine, "ROOT", write(tmp_path, {"proc/cpuinfo": text}))
        machine._cpuinfo.cache_clear()
        try:
            return machine.cpu_model(), machine.isa_words().partition(" with ")[2]
        finally:
            machine._cpuinfo.cache_clear()

    first = "model name : Some CPU\ncpu family : 6\nmodel : 85\nstepping : 7\nflags : avx2 fma avx512f\n"
    assert told(first + "\nmodel name : Other\nflags : sve\n") == ("Some CPU (6/85/7)", "avx2, avx512f")
    assert told("model name : Bare\nFeatures : asimddp\n") == ("Bare", "asimddp")
    assert told("CPU part: x\nmodel name : Plain\n") == ("Plain", "")


def test_load_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.126, 5.0, 9.0), raising=False)
    assert machine.load() == 0.13


def test_a_quota_just_below_a_half_is_rounded_down_and_cpus_are_those_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0: {1, 4, 6}}[process], raising=False)
    root = write(tmp_path, {"proc/self/cgroup": "0::/a:b", "sys/fs/cgroup/a:b/cpu.max": "149800 100000"})
    assert machine.default_threads(root) == 1
    assert machine.default_threads(tmp_path / "nowhere") == 3
