"""Reads the original's checkpoint files without running code from them."""

import collections
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flare.errors import UserError
from flare.importing.layout import Layout

_LIGHTNING = "model."  # what Lightning puts before every key of the network
# Plain data that optimizers and counters in such files hold.
_SAFE = [
    collections.defaultdict,
    np.dtype,
    np.ndarray,
    np._core.multiarray.scalar,  # type: ignore[attr-defined]
    np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    *(type(np.dtype(name)) for name in ("int64", "int32", "float64", "float32", "bool")),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalCheckpoint:
    """One file of the original."""

    layout: Layout
    weights: dict[str, Tensor]  # without Lightning's prefix
    steps: int  # environment steps (rl) or optimizer steps (il) behind the weights; 0 if unknown


def load_tensors(path: Path) -> Mapping[str, Any]:
    """What torch.save wrote, tensors on the CPU; nothing in the file is executed.

    Raises:
        UserError: no such file, no PyTorch file, or one that holds more than plain data.
    """
    if not path.is_file():
        raise UserError("no such file", file=path, mend="check the path")
    try:
        with torch.serialization.safe_globals(_SAFE):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"is refused, it holds more than tensors and plain data ({_first_line(error)})",
            file=path,
            mend="where you trust the file, load it with PyTorch and save its state dict alone",
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(
            f"is no PyTorch checkpoint ({_first_line(error)})",
            file=path,
            mend="download it again, or give another file",
        ) from error
    if not isinstance(loaded, Mapping):
        raise UserError(
            f"holds a {type(loaded).__name__} instead of a dict",
            file=path,
            mend="give a checkpoint",
        )
    return loaded


def read_original(path: Path) -> OriginalCheckpoint:
    """A Lightning imitation checkpoint or an AllenAct reinforcement checkpoint.

    Raises:
        UserError: neither, or a file that load_tensors refuses.
    """
    loaded = load_tensors(path)
    if isinstance(loaded.get("model_state_dict"), Mapping):
        weights, layout, steps = loaded["model_state_dict"], "rl", loaded.get("total_steps", 0)
    elif isinstance(loaded.get("state_dict"), Mapping):
        weights, layout, steps = loaded["state_dict"], "il", loaded.get("global_step", 0)
    else:
        found = ", ".join(map(str, loaded))[:200]
        raise UserError(
            f"has neither state_dict nor model_state_dict, only {found}",
            file=path,
            mend="give a Lightning (.ckpt) or AllenAct (.pt) checkpoint of SPOC or FLaRe",
        )
    named = {str(name).removeprefix(_LIGHTNING): tensor for name, tensor in weights.items()}
    _check(named, path)
    return OriginalCheckpoint(
        layout="rl" if layout == "rl" else "il", weights=named, steps=int(steps)
    )


def _check(weights: Mapping[str, Any], path: Path) -> None:
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise UserError(
                f"is a {type(tensor).__name__}", file=path, key=name, mend="give a whole checkpoint"
            )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
