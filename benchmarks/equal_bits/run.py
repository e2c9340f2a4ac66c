"""Whether int8 files give the same bits on other CPUs: bundles and all inputs of their nodes on emulated ones.

    bash benchmarks/equal_bits/setup.sh EMULATORS        once: Python and onnxruntime for Arm
    python benchmarks/equal_bits/run.py EMULATORS WORK [--store DIR] [--only NAME …] [--bundle NAME=FOLDER …]

Makes a bundle of each network below (WORK keeps them; those that are there are not made again), then, here and under
qemu-user as a Haswell (x86 without VNNI), a Cortex-A53 and a Cortex-A76: runs each distinct node that rounds between
bytes over all its inputs, and `run.py --check` on the whole bundle. Writes benchmarks/results/equal_bits/.
Most networks have random weights (see networks.py); `--bundle` adds given ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodes
import numpy as np
import yaml
from PIL import Image

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "equal_bits"
SIZE = 64
NETWORKS: dict[str, dict[str, Any]] = {
    **{
        name.replace(":", "-"): {"name": name}
        for name in (
            "timm:repvgg_a0", "timm:resnest14d", "timm:dla46x_c", "timm:pvt_v2_b0", "timm:mobilenetv3_small_050",
            "timm:resnet18", "timm:hrnet_w18_small", "timm:mobilenetv2_050", "timm:ghostnet_100", "timm:regnety_002",
            "timm:convnext_atto", "timm:mixnet_s", "timm:densenet121", "timm:efficientnet_b0", "timm:mobilevit_xxs",
            "torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_1", "torchvision:vgg11_bn",
            "torchvision:googlenet",
        )
    },
    "timm-swin_s3_tiny_224": {"name": "timm:swin_s3_tiny_224", "img_size": SIZE, "window_size": 4},
}  # fmt: skip
LITE0 = Path(os.environ.get("COMPRESS_DATA", ".")) / "efficientnet_lite0" / "tf_efficientnet_lite0.safetensors"
if LITE0.is_file():
    NETWORKS["given-efficientnet_lite0"] = {"name": "timm:tf_efficientnet_lite0", "weights": str(LITE0.resolve())}
ARM_FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
CPUS: dict[str, tuple[str, str, str]] = {
    "haswell": ("x86_64", "Haswell", ""),
    "cortex-a53": ("aarch64", "cortex-a53", f"0xd03 {ARM_FEATURES}"),
    "cortex-a76": ("aarch64", "cortex-a76", f"0xd0b {ARM_FEATURES} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("emulators", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS))
    parser.add_argument("--bundle", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--cpus", nargs="*", default=list(CPUS))
    asked = parser.parse_args()
    bundles = asked.work / "bundles"
    bundles.mkdir(parents=True, exist_ok=True)
    failed = {name: why for name in asked.only if (why := make(name, asked.work, asked.store))}
    for one in asked.bundle:
        name, _, folder = one.partition("=")
        shutil.copytree(folder, bundles / name, dirs_exist_ok=True)
    from compressor.bundle.copies import put_runner

    put_runner(bundles)
    tried = {one.parent.name: collect(one, bundles) for one in sorted(bundles.glob("*/model.onnx"))}
    here = everything(bundles, [sys.executable], {})
    rows = [row(bundles / name, tried[name], here) for name in tried]
    for cpu in asked.cpus:
        there = everything(bundles, *command(cpu, asked.emulators))
        for one in rows:
            one["cpus"][cpu] = compare(one["name"], here, there)
            print(one["name"], cpu, one["cpus"][cpu], flush=True)
        write(rows, failed)


def make(name: str, work: Path, store: Path | None) -> str:
    """Run a pipeline that ships the network in int8; why it did not, or nothing."""
    if (work / "bundles" / name / "bundle.json").exists():
        return ""
    pictures(work / "pictures")
    given = NETWORKS[name]
    pipeline = {
        "version": 1,
        "name": name.lower().replace("_", "-"),
        "task": {
            "type": "image-classification",
            "data": {"folder": str(work / "pictures")},
            "validation": 20,
            "preprocess": [{"scale": 255}, {"mean": [0.485, 0.456, 0.406]}, {"std": [0.229, 0.224, 0.225]}],
        },
        "steps": {
            "net": {
                "stage": "load",
                "model": {"factory": "networks:build", "args": {"size": SIZE, **given}},
                "weights": "none",
            },
            "int8": {"stage": "quantize", "from": "net", "calibration_samples": 60},
            "edge": {
                "stage": "export", "from": "int8", "input": "pixels_nhwc",
                "parity": {"cosine": -1, "sqnr_db": -200, "same_answers": 0},
            },
        },
    }  # fmt: skip
    file = work / f"{name}.yaml"
    file.write_text(yaml.safe_dump(pipeline, sort_keys=False))
    out = work / "runs" / name
    options = ["--out", str(out), *(["--store", str(store)] if store else [])]
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("compress")), "run", str(file), *options],
        env=environment, cwd=work, text=True, capture_output=True, check=False,
    )  # fmt: skip
    if not (out / "bundle" / "bundle.json").exists():
        return " ".join((done.stderr or done.stdout).split())[-300:]
    shutil.copytree(out / "bundle", work / "bundles" / name)
    return ""


def pictures(folder: Path) -> None:
    """Ten classes of coloured stripes under noise, the same ones always."""
    if folder.exists():
        return
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for label in range(10):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for number in range(count):
                waves = np.sin(np.arange(SIZE) * (label + 1) / 10 + random.uniform(0, 6))[:, None, None]
                tint = random.uniform(40, 215, (1, 1, 3)) + random.normal(0, 25, (SIZE, SIZE, 3))
                Image.fromarray(np.clip(tint + 60 * waves, 0, 255).astype(np.uint8)).save(place / f"{number}.png")


def collect(model: Path, bundles: Path) -> int:
    return nodes.collect(model, bundles / f"{model.parent.name}.nodes.onnx")


def command(cpu: str, emulators: Path) -> tuple[list[str], dict[str, str]]:
    """How Python starts on that CPU, and the environment it needs. On Arm, /proc/cpuinfo chooses the kernels."""
    machine, model, about = CPUS[cpu]
    if machine == "x86_64":
        return ["qemu-x86_64", "-cpu", model, sys.executable], {"OPENBLAS_CORETYPE": "Haswell"}
    part, _, features = about.partition(" ")
    text = f"processor\t: 0\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
    (emulators / "root/proc/cpuinfo").write_text(f"{text}CPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 4\n\n")
    site = ["-E", f"PYTHONPATH={emulators.resolve() / 'site'}", "-E", "OPENBLAS_NUM_THREADS=1"]
    root = emulators.resolve() / "root"
    return ["qemu-aarch64", "-cpu", model, *site, "-L", str(root), str(root / "usr/bin/python3.11")], {}


def everything(bundles: Path, python: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """The outputs of all nodes and what `--check` says of each bundle, on the CPU that `python` runs on."""
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment}
    shutil.rmtree(bundles / "out", ignore_errors=True)
    subprocess.run([*python, str(HERE / "nodes.py"), str(bundles)], env=env, check=True)
    outputs = {}
    for path in sorted((bundles / "out").glob("*.npz")):
        with np.load(path) as stored:
            outputs[path.stem] = [stored[name] for name in stored.files]
    done = subprocess.run(
        [*python, str(HERE / "checks.py"), str(bundles)], env=env, check=True, text=True, stdout=subprocess.PIPE
    )
    checks = {told["name"]: told for told in map(json.loads, done.stdout.splitlines())}
    return {"outputs": outputs, "checks": checks}


def row(bundle: Path, tried: int, here: dict[str, Any]) -> dict[str, Any]:
    facts = json.loads((bundle / "bundle.json").read_text())
    with np.load(bundle / "samples.npz") as stored:
        samples = {"tolerance": float(stored["tolerance"]), "largest_output": float(np.abs(stored["output"]).max())}
    count = len(here["outputs"].get(bundle.name, []))
    assert here["checks"][bundle.name]["exit"] == 0, here["checks"][bundle.name]
    return {"name": bundle.name, "bits": facts["bits"], **samples, "nodes": count, "inputs": tried, "cpus": {}}


def compare(name: str, here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """nodes: how many gave another byte for any input. bytes: for how many in all."""
    pairs = zip(here["outputs"].get(name, []), there["outputs"].get(name, []), strict=True)
    unequal = [int((a != b).sum()) for a, b in pairs]
    told = there["checks"][name]
    found = {key: told[key] for key in ("output_difference", "error") if key in told}
    return {"nodes": sum(count > 0 for count in unequal), "bytes": sum(unequal), "exit": told["exit"], **found}


def write(rows: list[dict[str, Any]], failed: dict[str, str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "equal_bits.json").write_text(json.dumps({"rows": rows, "not_made": failed}, indent=1) + "\n")
    cpus = list(dict.fromkeys(cpu for one in rows for cpu in one["cpus"]))
    head = ["network", "bits", "nodes (inputs tried)", *cpus, "allowed, largest output"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in rows:
        bits = "proven" if one["bits"]["proven"] else "not proven: " + ", ".join(one["bits"]["because"])
        cells = [one["name"], bits, f"{one['nodes']} ({one['inputs']:,})"]
        cells += [_cell(one["cpus"][cpu]) for cpu in cpus]
        lines.append("| " + " | ".join([*cells, f"{one['tolerance']:.2g}, {one['largest_output']:.3g}"]) + " |")
    text = """# The same bits on other CPUs?

Made by `python benchmarks/equal_bits/run.py`; random weights and pictures of 64 pixels, but for `cifar-`, `digits-` and
`given-`, which are trained (pictures of 32, 8 and 64 pixels).
In the columns of CPUs (emulated by qemu-user): the largest difference of the golden samples' outputs from the host's
(x86 with VNNI), and of the nodes that round between bytes, run alone over all their inputs, how many gave another byte.

"""
    known = {one["name"] for one in rows} | failed.keys()
    untried = {name: "left out of this run (`--only`)" for name in NETWORKS if name not in known}
    missing = "".join(f"\n- `{name}` has no row: {why}" for name, why in (failed | untried).items())
    (RESULTS / "README.md").write_text(text + "\n".join(lines) + "\n" + missing + ("\n" if missing else ""))


def _cell(found: dict[str, Any]) -> str:
    if found["exit"]:
        return f"**exit {found['exit']}**, {found['nodes']} nodes"
    difference = found["output_difference"]
    return f"{'equal' if not difference else f'{difference:.2g}'}, {found['nodes']} nodes"


if __name__ == "__main__":
    main()
