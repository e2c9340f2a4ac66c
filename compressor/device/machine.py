"""What this device is, with the keys of report.json's `environment`."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import numpy as np
import PIL

from .memory import text_of


def machine() -> dict[str, Any]:
    """What the rows were measured on, with the keys of report.json's `environment`; null where not known."""
    about = dict(reversed([_pair(line) for line in text_of("/proc/cpuinfo").splitlines()]))
    memory = dict(_pair(line) for line in text_of("/proc/meminfo").splitlines()).get("MemTotal", "").split()
    units = set((about.get("flags") or about.get("Features") or "").split())
    versions = {"numpy": np.__version__, "pillow": PIL.__version__}
    if "onnxruntime" in sys.modules:
        versions["onnxruntime"] = sys.modules["onnxruntime"].__version__
    return {
        "cpu": about.get("model name") or about.get("Hardware") or platform.processor() or platform.machine(),
        "isa": " ".join([platform.machine(), *(unit for unit in UNITS if unit in units)]),
        "cores": os.cpu_count(),
        "governor": text_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip() or None,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "memory_bytes": int(memory[0]) * 1024 if memory else None,
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": versions,
    }


UNITS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()
