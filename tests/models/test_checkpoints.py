"""Files of weights: what is read, what is refused, and what the refusal says."""

import argparse
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from compressor.errors import InputError
from compressor.models import checkpoints, fitting
from tests.toy import toy_model


@pytest.fixture
def state() -> dict[str, Tensor]:
    return dict(toy_model(seed=1).state_dict())


def same(model: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "module._orig_mod.model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "state_dict_ema", "ema"])
def test_foreign_files_load_whatever_they_wrap(
    tmp_path: Path, state: dict[str, Tensor], prefix: str, wrapper: str | None
) -> None:
    held: Any = {prefix + name: value for name, value in state.items()}
    torch.save({wrapper: held, "epoch": 3} if wrapper else held, tmp_path / "w.th")
    model = toy_model()
    assert not same(model, state)
    assert checkpoints.load_into(model, tmp_path / "w.th") == []
    assert same(model, state)


def test_safetensors_load_and_old_files_may_lack_counters(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(
        {name: value for name, value in state.items() if not name.endswith("tracked")}, tmp_path / "w.safetensors"
    )
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.safetensors")
    assert same(model, state)


def test_a_key_names_the_place(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"state_dict": toy_model().state_dict(), "best": state}, tmp_path / "w.pt")
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pt", "best")
    assert same(model, state)
    with pytest.raises(InputError, match=r"no weights at 'bst'; it holds state_dict, best; name the place with `key`"):
        checkpoints.read(tmp_path / "w.pt", "bst")


def test_an_averaged_model_leaves_its_counter_behind(tmp_path: Path, state: dict[str, Tensor]) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(toy_model(seed=1))
    torch.save(averaged.state_dict(), tmp_path / "w.pt")
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.pt")
    assert same(model, state)


def test_a_model_whose_own_names_begin_with_model_keeps_them() -> None:
    inner = nn.Module()
    inner.model = nn.Linear(2, 2)
    given = {"model.weight": torch.ones(2, 2), "model.bias": torch.zeros(2)}
    assert fitting.put(inner, given, "w") == []
    assert inner.model.weight.sum() == 4


def test_another_architecture_is_named_with_the_first_and_the_counts(state: dict[str, Tensor]) -> None:
    given = dict(state)
    del given["conv1.weight"], given["layer1.0.conv1.weight"]
    given["stem.weight"] = torch.zeros(2, 2)
    given["bn1.weight"] = torch.zeros(9)
    with pytest.raises(InputError) as caught:
        fitting.put(toy_model(), given, "weights w.th")
    said = str(caught.value)
    assert said.startswith(
        "weights w.th: they are of another architecture: 2 missing, the first conv1.weight [4, 1, 3, 3]"
    )
    assert "1 unexpected, the first stem.weight [2, 2]" in said
    assert "1 of another shape, the first bn1.weight ([9] in the file, [4] in the network)" in said


def test_a_head_of_other_classes_is_refused_or_replaced(state: dict[str, Tensor]) -> None:
    given = {**state, "linear.weight": torch.zeros(10, 8), "linear.bias": torch.zeros(10)}
    with pytest.raises(InputError, match="they answer with 10 classes and the task has 3"):
        fitting.put(toy_model(), given, "w")
    model = toy_model()
    assert fitting.put(model, given, "w", new_head=True) == ["linear.weight", "linear.bias"]
    assert not model.linear.weight.any()
    assert not model.linear.bias.any()
    assert torch.equal(model.conv1.weight, state["conv1.weight"])
    assert fitting.put(model, state, "w", new_head=True) == []
    assert torch.equal(model.linear.weight, state["linear.weight"])


def test_only_the_head_may_differ(state: dict[str, Tensor]) -> None:
    given = {
        **state,
        "linear.weight": torch.zeros(10, 8),
        "linear.bias": torch.zeros(10),
        "conv1.weight": torch.zeros(8, 1, 3, 3),
    }
    with pytest.raises(InputError, match=r"1 of another shape, the first conv1\.weight"):
        fitting.put(toy_model(), given, "w", new_head=True)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("this code must not run",)


def test_a_file_that_needs_code_is_refused_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.pth"
    torch.save({"state_dict": Harmful()}, path)
    with pytest.raises(InputError, match="would run code that it holds, which is refused") as caught:
        checkpoints.read(path)
    assert "this code must not run" not in capsys.readouterr().out
    assert "weights_only=False" in caught.value.todo
    assert "save_file" in caught.value.todo
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(InputError, match="weights"):
        checkpoints.read(path)
    assert "this code must not run" not in capsys.readouterr().out


def test_the_lines_that_convert_a_trusted_file_do_it(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": state, "arguments": Path("x")}, tmp_path / "w.pth")
    with pytest.raises(InputError) as caught:
        checkpoints.read(tmp_path / "w.pth")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(line.strip() for line in caught.value.todo.splitlines()[1:]), {})
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "w.safetensors")
    assert same(model, state)


@pytest.mark.parametrize("name", ["w.safetensors", "w.th"])
@pytest.mark.parametrize("content", [b"", b"nonsense" * 30])
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        checkpoints.read(tmp_path / name)


def test_a_truncated_file_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "w.th")
    whole = (tmp_path / "w.th").read_bytes()
    (tmp_path / "w.th").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no whole PyTorch file"):
        checkpoints.read(tmp_path / "w.th")


def test_missing_and_strange_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        checkpoints.read(tmp_path / "none.th")
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(InputError, match=r"ending in '\.h5' is not known"):
        checkpoints.read(tmp_path / "w.h5")
    torch.save([torch.zeros(1)], tmp_path / "w.pt")
    with pytest.raises(InputError, match="holds a list, not weights by name"):
        checkpoints.read(tmp_path / "w.pt")


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_are_refused_by_name(state: dict[str, Tensor], spoilt: float) -> None:
    state["conv1.weight"] = state["conv1.weight"].clone()
    state["conv1.weight"][0, 0, 1, :2] = spoilt
    with pytest.raises(InputError, match=r"^w: conv1\.weight: 2 of its 36 values are not finite numbers; give"):
        fitting.put(toy_model(), state, "w")
    model = toy_model()
    with pytest.raises(InputError):
        fitting.put(model, state, "w")
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_mask_may_hold_infinity_and_a_head_that_is_replaced_anything(state: dict[str, Tensor]) -> None:
    masked = nn.Linear(2, 2)
    masked.register_buffer("mask", torch.zeros(2))
    given = {"weight": torch.ones(2, 2), "bias": torch.zeros(2), "mask": torch.tensor([0.0, -torch.inf])}
    fitting.put(masked, given, "w")
    assert masked.mask[1] == -torch.inf
    with pytest.raises(InputError, match="w: mask: 1 of its 2 values"):
        fitting.put(masked, {**given, "mask": torch.tensor([0.0, torch.nan])}, "w")
    given = {**state, "linear.weight": torch.full((10, 8), torch.nan), "linear.bias": torch.zeros(10)}
    assert fitting.put(toy_model(), given, "w", new_head=True) == ["linear.weight", "linear.bias"]


def test_whole_numbers_are_no_float_weights(state: dict[str, Tensor]) -> None:
    given = {**state, "conv1.weight": state["conv1.weight"].mul(100).to(torch.int8)}
    with pytest.raises(InputError, match=r"w: conv1\.weight: it holds int8, and the network computes with float"):
        fitting.put(toy_model(), given, "w")
    fitting.put(toy_model(), {name: value.half() for name, value in state.items()}, "w")


def doubled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value * 2 for name, value in state.items()}


def module(state: dict[str, Tensor]) -> nn.Module:
    made = toy_model()
    made.load_state_dict(state)
    return made


REFUSED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "arguments beside": lambda state: {"model": state, "optimizer": {"state": {0: {"a": state["bn1.bias"]}}}, "args": H},
    "average beside": lambda state: {"state_dict": state, "args": H, "state_dict_ema": doubled(state)},
    "average first": lambda state: {"model_ema": doubled(state), "epoch": torch.tensor(3), "model": state, "args": H},
    "module": module,
    "module in a place": lambda state: {"model": module(state), "epoch": 3},
    "module in an unusual place": lambda state: {"best": module(state), "epoch": 3},
    "a level deeper": lambda state: {"checkpoint": {"state_dict": state}, "args": H},
    "parallel": lambda state: nn.DataParallel(module(state)),
    "parameters": lambda state: {"net": dict(module(state).named_parameters()) | dict(module(state).named_buffers()), "a": H},
    "only weights": lambda state: {**state, "args": H},
}  # fmt: skip
H = argparse.Namespace(lr=0.1, out=Path())


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("name", ["w.pth", "w.pth.tar", "w.bin"])
def test_the_lines_of_a_refusal_work_on_every_form(
    tmp_path: Path, state: dict[str, Tensor], form: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    torch.save(REFUSED[form](state), path)
    with pytest.raises(InputError, match="would run code that it holds, which is refused") as caught:
        checkpoints.read(path)
    exec("\n".join(line.strip() for line in caught.value.todo.splitlines()[1:]), {})
    model = toy_model()
    checkpoints.load_into(model, path.with_suffix(".safetensors"))
    assert same(model, state)
    assert "average" not in form or "ema" in capsys.readouterr().out


def test_the_lines_take_arrays_of_numpy(tmp_path: Path, state: dict[str, Tensor]) -> None:
    arrays = {name: value.numpy() for name, value in state.items()}
    torch.save({"state_dict": arrays, "best": np.float64(0.5)}, tmp_path / "n.pt")
    with pytest.raises(InputError) as caught:
        checkpoints.read(tmp_path / "n.pt")
    exec("\n".join(line.strip() for line in caught.value.todo.splitlines()[1:]), {})
    model = toy_model()
    checkpoints.load_into(model, tmp_path / "n.safetensors")
    assert same(model, state)


def test_the_lines_work_for_a_script_and_write_nothing_where_there_are_no_tensors(
    tmp_path: Path, state: dict[str, Tensor]
) -> None:
    torch.jit.trace(module(state).eval(), torch.zeros(1, 1, 8, 8)).save(str(tmp_path / "s.pt"))
    torch.save({"model": H, "epoch": 3}, tmp_path / "n.pt")
    for name, ends in (("s", False), ("n", True)):
        with pytest.raises(InputError, match="refused") as caught:
            checkpoints.read(tmp_path / f"{name}.pt")
        lines = "\n".join(line.strip() for line in caught.value.todo.splitlines()[1:])
        if ends:
            with pytest.raises(SystemExit, match="no tensors were found"):
                exec(lines, {})
            assert not (tmp_path / f"{name}.safetensors").exists()
        else:
            exec(lines, {})
            model = toy_model()
            checkpoints.load_into(model, tmp_path / f"{name}.safetensors")
            assert same(model, state)
