"""Lines that a person who trusts a file runs once, to turn it into safetensors that anybody may read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_TENSOR = (
    "tensor = lambda v: v if isinstance(v, torch.Tensor) else torch.tensor(v)"
    " if type(v).__name__ == 'ndarray' and v.dtype.kind in 'fiub' else None"
)


def lines(path: Path, places: Sequence[str], *, script: bool = False) -> str:
    """What to do about a file that only running its code can read; each line is a whole statement of Python.

    The weights come from the first of the places that has some, else from whatever holds the most tensors, also inside
    pickled networks. A file without any ends them before anything is written. script: a TorchScript program.
    """
    new = str(path.with_suffix(".safetensors"))
    if script:
        found = [
            f"import torch, safetensors.torch; held = [torch.jit.load({str(path)!r}, map_location='cpu').state_dict()]"
        ]
    else:
        found = [
            "import torch, safetensors.torch;"
            f" file = torch.load({str(path)!r}, map_location='cpu', weights_only=False)",
            "inside = lambda x: x.state_dict() if hasattr(x, 'state_dict') else x if isinstance(x, dict) else {}",
            f"usual = [inside(file)[place] for place in {list(places)!r} if place in inside(file)]",
            "rest = [file, *inside(file).values()]; rest += [y for x in rest[1:] for y in inside(x).values()]",
            f"{_TENSOR}; count = lambda x: sum(tensor(v) is not None for v in inside(x).values())",
            "held = [inside(x) for x in usual + sorted(rest, key=count, reverse=True)]",
        ]
    return "\n    ".join(
        [
            "if you trust it, convert it once in Python and name the new file:",
            *found,
            *([_TENSOR] if script else []),
            "tensors = [{k: tensor(v).detach().clone().contiguous() for k, v in x.items() if tensor(v) is not None}"
            " for x in held]",
            "state = next(filter(None, tensors), None) or exit('no tensors were found in it')",
            f"safetensors.torch.save_file(state, {new!r}); print(len(state), 'tensors, the first', next(iter(state)))",
            *([] if script else ["print('places with tensors:', [x for x, y in inside(file).items() if count(y)])"]),
        ]
    )
