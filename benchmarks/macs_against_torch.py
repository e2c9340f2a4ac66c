"""Counts multiply-accumulates of torchvision's and timm's networks in their ONNX graphs and by torch's own counter.

    uv run python benchmarks/macs_against_torch.py [NETWORK ...]

Random weights, pictures of 64x64 where the network takes them, else of its own size. torch counts two operations a
multiply-accumulate; its counter knows convolutions, matrix products and attention. Where the two counts differ by
right, the layers behind it are counted by hand from their weights' sizes: `by_hand` is what torch leaves out less what
the graph need not compute, `reason` says why, and ratio is the graph's count over torch's and this. Writes a row a
network to benchmarks/results/macs_against_torch.csv; rows that are there are not measured again.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compressor.models import catalogue
from compressor.onnx_graph import cost, exporter
from compressor.problem.signature import Signature, TensorSpec

TABLE = Path(__file__).parent / "results" / "macs_against_torch.csv"
FIELDS = ("network", "pixels", "onnx_macs", "torch_macs", "by_hand", "ratio", "reason", "unknown")
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
        torchvision:swin_v2_t torchvision:efficientnet_v2_s timm:botnet26t_256 timm:coatnet_nano_rw_224 timm:levit_128s
        timm:poolformer_s12 timm:gcvit_xxtiny timm:resmlp_12_224 timm:sequencer2d_s timm:pvt_v2_b0
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
    differences: Counter[str] = Counter()
    handles = _watch(model, differences)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *shape))
    for handle in handles:
        handle.remove()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "core.onnx"
        exporter.export_core(model, signature, path, 21)
        found = cost.count(path)
    counted, by_hand = counter.get_total_flops() // 2, sum(differences.values())
    ratio = None if found["macs"] is None else round(found["macs"] / (counted + by_hand), 6)
    row = (name, pixels, found["macs"], counted, by_hand, ratio, "; ".join(differences), found["macs_unknown"])
    return dict(zip(FIELDS, row, strict=True))


def _watch(model: nn.Module, differences: Counter[str]) -> list[Any]:
    """Let the layers in which the two counts differ by right say by how much, and why."""

    def recurrent(layer: nn.RNNBase, inputs: tuple[Any, ...], _: Any) -> None:
        steps = inputs[0].numel() // layer.input_size
        weights = sum(one.numel() for name, one in layer.named_parameters() if name.startswith("weight"))
        differences["torch does not count its LSTM on a CPU"] += steps * weights

    def folded(layer: nn.Linear, _: Any, output: torch.Tensor) -> None:
        differences["the position bias follows from the weights and is a constant of the graph"] -= (
            output.numel() * layer.in_features
        )

    handles = [one.register_forward_hook(recurrent) for one in model.modules() if isinstance(one, nn.LSTM)]
    constant = [one for name, one in model.named_modules() if "cpb_mlp" in name and isinstance(one, nn.Linear)]
    return handles + [one.register_forward_hook(folded) for one in constant]


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
        print(f"{name}: {row['onnx_macs']} / ({row['torch_macs']} + {row['by_hand']}) = {row['ratio']}", flush=True)


if __name__ == "__main__":
    main()
