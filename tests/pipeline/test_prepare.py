"""What a run needs to know before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from compressor.pipeline.file import spec
from compressor.pipeline.plan import prepare


@pytest.mark.parametrize(
    ("weights", "declaring"),
    [(("none", "default"), "b"), (("default", "default"), "a"), (("w.pt", "none"), "a"), (("none", "none"), None)],
)
def test_untrained_networks_declare_no_preprocessing(
    tmp_path: Path, weights: tuple[str, str], declaring: str | None
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "version: 1\nname: x\ntask: {type: image-classification, data: digits}\nsteps:\n"
        f"  a: {{stage: finetune, model: torchvision:resnet18, weights: {weights[0]}}}\n"
        f"  b: {{stage: finetune, model: torchvision:resnet34, weights: {weights[1]}}}\n"
    )
    named = prepare.declaring(spec.load(file))
    assert (named and named.ref) == (
        declaring and {"a": "torchvision:resnet18", "b": "torchvision:resnet34"}[declaring]
    )


@pytest.mark.parametrize(("torch", "device"), [("2.15.0+cpu", "cpu"), ("2.15.0", "cuda")])
def test_auto_takes_cuda_only_where_torch_was_made_for_it(
    monkeypatch: pytest.MonkeyPatch, torch: str, device: str
) -> None:
    monkeypatch.setattr(prepare.Path, "exists", lambda path: True)
    monkeypatch.setattr(prepare, "installed", lambda package: torch)
    assert prepare.resolve_device("auto") == device
