"""Counts multiply-accumulates of torchvision's and timm's networks in their ONNX graphs and by torch's own counter.

    uv run python benchmarks/macs_against_torch.py [NETWORK ...]

Random weights, pictures of 64x64 where the network takes them, else of its own size. torch counts two operations a
multiply-accumulate; its counter knows convolutions, matrix products and attention. Writes a row a network to
benchmarks/results/macs_against_torch.csv; rows that are there are not measured again.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from compressor.models import catalogue
from compressor.onnx_graph import cost, exporter
from compressor.tasks.base import Signature, TensorSpec

TABLE = Path(__file__).parent / "results" / "macs_against_torch.csv"
FIELDS = ("network", "pixels", "onnx_macs", "torch_macs", "ratio", "unknown")
SMALL = 64
_SMALL = """
        torchvision:alexnet torchvision:vgg11_bn torchvision:resnet18 torchvision:resnet50 torchvision:resnext50_32x4d
        torchvision:densenet121 torchvision:googlenet torchvision:mobilenet_v2 torchvision:mobilenet_v3_small
        torchvision:mobilenet_v3_large torchvision:shufflenet_v2_x1_0 torchvision:squeezenet1_1 torchvision:mnasnet0_5
        torchvision:efficientnet_b0 torchvision:regnet_y_400mf torchvision:regnet_x_400mf torchvision:convnext_tiny
        torchvision:swin_t torchvision:vit_b_32
        timm:tf_efficientnet_lite0 timm:mobilenetv4_conv_small timm:repvgg_a0 timm:ghostnet_100 timm:resnet10t
        timm:resnetv2_50 timm:convnext_atto timm:convnextv2_atto timm:edgenext_xx_small
        timm:fastvit_t8 timm:repghostnet_050 timm:hardcorenas_a timm:lcnet_050 timm:tinynet_e timm:dla34 timm:rexnet_100
        timm:nf_regnet_b0 timm:res2net50_26w_4s timm:mixnet_s timm:hrnet_w18_small timm:vit_tiny_patch16_224
        timm:deit_tiny_distilled_patch16_224 timm:mobilevit_xxs timm:mobileone_s0 timm:test_vit timm:test_convnext
        """
NETWORKS = dict.fromkeys(_SMALL.split(), SMALL) | {
    "torchvision:inception_v3": 128,
    "timm:mixer_s32_224": 224,
    "timm:xcit_nano_12_p16_224": 224,
}


def measure(name: str, pixels: int) -> dict[str, object]:
    """One row of the table."""
    shape = (3, pixels, pixels)
    model = catalogue.build(name, outputs=10, input_shape=shape).eval()
    signature = Signature(
        (TensorSpec("input", "float32", shape, "NCHW", "a picture"),),
        (TensorSpec("logits", "float32", (10,), "NC", "a number a class"),),
    )
    torch.backends.mha.set_fastpath_enabled(False)  # whose one operator for a whole block torch does not count
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "core.onnx"
        exporter.export_core(model, signature, path, 21)
        found = cost.count(path)
    expected = counter.get_total_flops() // 2
    ratio = None if found["macs"] is None else round(found["macs"] / expected, 6)
    return dict(zip(FIELDS, (name, pixels, found["macs"], expected, ratio, found["macs_unknown"]), strict=True))


def main() -> None:
    """Measure what is asked for, or all, and is not in the table."""
    have = list(csv.DictReader(TABLE.open(encoding="utf-8"))) if TABLE.exists() else []
    done = {row["network"] for row in have}
    for name in sys.argv[1:] or NETWORKS:
        if name in done:
            continue
        try:
            row = measure(name, NETWORKS.get(name, SMALL))
        except Exception as error:  # one network that a library cannot make here says nothing about the others
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            continue
        new = not TABLE.exists()
        with TABLE.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(f"{name}: {row['onnx_macs']} / {row['torch_macs']} = {row['ratio']}", flush=True)


if __name__ == "__main__":
    main()
