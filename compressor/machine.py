"""What this machine is: processor, instruction set, cores that we may use, memory, and how busy it is.

The standard library only, so that the plan can ask without cost.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path("/")

# The levels of the x86-64 psABI, as /proc/cpuinfo spells the flags.
_LEVELS: tuple[tuple[str, frozenset[str]], ...] = (
    ("v4", frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})),
    ("v3", frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})),
    ("v2", frozenset({"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"})),
)
# Units that make libraries choose other kernels: the name in a key, and the flags that give it.
_UNITS: tuple[tuple[str, frozenset[str]], ...] = (
    ("vnni", frozenset({"avx512_vnni", "avx_vnni"})),
    ("bf16", frozenset({"avx512_bf16", "bf16"})),
    ("fp16", frozenset({"avx512_fp16", "asimdhp"})),
    ("amx-int8", frozenset({"amx_int8"})),
    ("amx-bf16", frozenset({"amx_bf16"})),
    ("dot", frozenset({"asimddp"})),
    ("i8mm", frozenset({"i8mm"})),
    ("sve", frozenset({"sve"})),
)
_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_SHOWN = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16",
          "asimddp", "i8mm", "bf16", "sve")  # fmt: skip


def describe() -> dict[str, Any]:
    """The machine as a report shows it; null where it cannot be known. memory_bytes honours the container's limit."""
    return {
        "cpu": cpu_model(),
        "isa": isa_words(),
        "cores": cores(),
        "governor": governor(),
        "load": load(),
        "memory_bytes": memory_bytes(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "threads": default_threads(),
    }


def identity() -> str:
    """One line that differs between machines whose latencies do not compare: processor, cores, instruction set."""
    return f"{cpu_model()}; {cores()} cores; {isa_level()}"


def cores() -> int:
    """Logical processors of the machine, whether or not we may use them."""
    return os.cpu_count() or 1


def default_threads(root: Path = ROOT) -> int:
    """Threads worth starting: the CPUs this process may run on, but no more than the cgroup's quota pays for."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores()
    quota = cpu_quota(root)
    return max(1, allowed if quota is None else min(allowed, int(quota + 0.5)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPUs that the cgroup's quota allows (version 2 or 1, the tightest on the way up); None where there is none."""
    quotas = [quota for folder in _cgroup_folders(root) if (quota := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def memory_bytes(root: Path = ROOT) -> int | None:
    """Memory that this process can have: the machine's, or the cgroup's limit where that is lower."""
    limits = [int(kilobytes) * 1024 for kilobytes in _values(root / "proc/meminfo", "MemTotal")]
    for folder in _cgroup_folders(root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _text(folder / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits, default=None)


def cpu_model() -> str:
    """The processor's name; on virtual machines that hide it, with family and model numbers to tell them apart."""
    about = _cpuinfo()
    name = about.get("model name") or about.get("cpu part") or platform.processor() or platform.machine()
    numbers = [about[key] for key in ("cpu family", "model", "stepping") if key in about]
    return f"{name} ({'/'.join(numbers)})" if numbers else name


def isa_level() -> str:
    """The instruction set as it enters step keys, for example `x86-64-v4+vnni+bf16`."""
    return level_of(platform.machine(), _flags())


def isa_words() -> str:
    """The instruction set for people: `x86-64-v4 with avx2, avx512f, avx512_vnni`."""
    flags = _flags()
    shown = [flag for flag in _SHOWN if flag in flags]
    base = level_of(platform.machine(), flags).split("+")[0]
    return f"{base} with {', '.join(shown)}" if shown else base


def level_of(architecture: str, flags: frozenset[str]) -> str:
    """The level of an architecture (`x86_64`, `aarch64`) with these flags of /proc/cpuinfo."""
    if architecture.lower() in ("x86_64", "amd64"):
        base = next((f"x86-64-{level}" for level, needed in _reachable(flags)), "x86-64")
    else:
        base = {"arm64": "aarch64"}.get(architecture.lower(), architecture.lower())
    return "+".join([base, *(name for name, any_of in _UNITS if any_of & flags)])


def has_bf16() -> bool:
    """Whether bfloat16 pays on this CPU: only x86 units were measured (without them it is slower than float32)."""
    return bool(_BF16_FLAGS & _flags())


def governor(root: Path = ROOT) -> str | None:
    """The frequency governor of the first CPU, None where the system has none to show (most virtual machines)."""
    return _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None


def frequency_mhz(root: Path = ROOT) -> float | None:
    """Mean clock of all CPUs at this moment, in MHz."""
    clocks = [float(value) for value in _values(root / "proc/cpuinfo", "cpu MHz")]
    return round(sum(clocks) / len(clocks), 1) if clocks else None


def load() -> float | None:
    """Load average of the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@dataclass(frozen=True)
class Ticks:
    """CPU time of the whole machine since it started, in clock ticks: worked, taken by the hypervisor, and all."""

    busy: int
    steal: int
    total: int

    def __sub__(self, earlier: Ticks) -> Ticks:
        return Ticks(self.busy - earlier.busy, self.steal - earlier.steal, self.total - earlier.total)


def ticks(root: Path = ROOT) -> Ticks | None:
    """The machine's CPU time from /proc/stat, None where there is no such file."""
    first = _text(root / "proc/stat").split("\n", 1)[0].split()
    if not first or first[0] != "cpu":
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = (*map(int, first[1:9]), *([0] * 8))[:8]
    busy = user + nice + system + irq + softirq
    return Ticks(busy, steal, busy + steal + idle + iowait)


def steal(root: Path = ROOT) -> float | None:
    """Share of all CPU time since the machine started that the hypervisor gave to others."""
    now = ticks(root)
    return None if now is None or now.total == 0 else now.steal / now.total


def _reachable(flags: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """The levels whose flags, and those of all levels below, are there; the highest first."""
    return [
        (level, needed)
        for place, (level, needed) in enumerate(_LEVELS)
        if all(lower <= flags for _, lower in _LEVELS[place:])
    ]


@cache
def _cpuinfo() -> dict[str, str]:
    """The first processor's entries in /proc/cpuinfo."""
    about: dict[str, str] = {}
    for line in _text(ROOT / "proc/cpuinfo").split("\n"):
        key, _, value = line.partition(":")
        about.setdefault(key.strip(), value.strip())
    return about


def _flags() -> frozenset[str]:
    about = _cpuinfo()
    return frozenset((about.get("flags") or about.get("Features") or "").split())


def _cgroup_folders(root: Path) -> list[Path]:
    """Folders of this process's cgroups and of all above them, for version 2 and for version 1's cpu and memory."""
    mount = root / "sys/fs/cgroup"
    folders: list[Path] = []
    for line in (_text(root / "proc/self/cgroup") or "0::/").split("\n"):
        parts = line.split(":", 2)
        if len(parts) != 3:
            continue
        _, controllers, path = parts
        if not controllers:
            bases = [mount]
        elif {"cpu", "memory"} & set(controllers.split(",")):
            bases = [mount / name for name in {controllers, *controllers.split(",")} & {"cpu", "memory", controllers}]
        else:
            continue
        for base in bases:
            inside = base / path.strip("/")
            folders += [inside, *(above for above in inside.parents if above.is_relative_to(base))]
    return folders


def _quota_of(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    if not words:
        words = [_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")]
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit() or int(words[1]) == 0:
        return None  # "max", or -1 in version 1: no limit
    return int(words[0]) / int(words[1])


def _values(path: Path, key: str) -> list[str]:
    """The first word of each `key: value` line."""
    pairs = (line.partition(":") for line in _text(path).split("\n"))
    return [value.split()[0] for name, _, value in pairs if name.strip() == key and value.split()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
