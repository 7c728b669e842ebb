"""Checkpoints of a run: written whole or not at all, checked when read, old ones cleared away.

``<run>/checkpoints/<step>/`` holds model.safetensors (the policy's weights), config.json (format,
hashes, the policy's and the recipe's configuration), trainer.pt (all that resuming needs beyond the
weights), card.md (for people) and processors/ (files that observations are prepared with, such as a
text tokenizer's; the small policy needs none). ``<run>/latest`` and ``<run>/best`` point at two of
them.
"""

import hashlib
import io
import math
import pickle
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from flare import __version__
from flare.atomic import (
    PathLike,
    make_directory,
    read_pointer,
    replace_directory,
    replace_symlink,
    temporary_name,
    write_bytes,
    write_json,
    write_text,
)
from flare.config import differences, read_json_object
from flare.errors import UserError

FORMAT_VERSION = 1
MODEL, CONFIG, TRAINER, CARD = "model.safetensors", "config.json", "trainer.pt", "card.md"
PROCESSORS = "processors"  # folder


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds. Tensors are on the CPU."""

    step: int  # environment steps (or optimizer steps of imitation) behind the weights
    stage: str  # what wrote it: pretrain, finetune, import
    model: dict[str, Tensor]  # the policy's state dict
    policy: dict[str, Any]  # the policy's configuration as a JSON object
    recipe: dict[str, Any]  # the recipe's resolved configuration as a JSON object
    trainer: dict[str, Any]  # plain containers, numbers, text and tensors only
    metrics: dict[str, Any]  # numbers for the card, such as success_rate
    processors: dict[str, bytes] = field(default_factory=dict)  # file name: content


def save_checkpoint(
    run: PathLike, checkpoint: Checkpoint, *, best: bool = False, keep_last: int = 3
) -> Path:
    """Write a checkpoint below the run's folder and point ``latest`` (and ``best``) at it.

    Afterwards only the ``keep_last`` newest and the best remain. A failure on the way leaves the
    older checkpoints and pointers as they were.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: the disk is full or read-only.
    """
    if keep_last < 1:
        raise ValueError(f"keep_last must be at least 1, got {keep_last}")
    root = Path(run)
    final = root / "checkpoints" / f"{checkpoint.step:09d}"
    make_directory(final.parent)
    temporary = make_directory(temporary_name(final))
    try:
        _write_files(temporary, checkpoint, root)
        replace_directory(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    target = f"checkpoints/{final.name}"
    replace_symlink(root / "latest", target)
    if best:
        replace_symlink(root / "best", target)
    _clear_old(root, keep_last)
    return final


def find_checkpoint(path: PathLike, which: str = "latest") -> Path:
    """The checkpoint's folder that ``path`` means: itself, or ``which`` of a run's folder.

    When a run's ``latest`` leads nowhere (the machine died while it was written), its newest
    checkpoint is taken.

    Raises:
        UserError: no such folder, or no checkpoint in it.
    """
    folder = Path(path)
    if not folder.exists():
        raise UserError("no such folder", mend="give a run's or a checkpoint's folder", file=path)
    if (folder / MODEL).is_file() or (folder / TRAINER).is_file():
        return folder
    pointed = read_pointer(folder / which)
    if pointed is not None and pointed.is_dir():
        return pointed
    steps = list_checkpoints(folder)
    if which == "latest" and steps:
        return steps[-1]
    raise UserError(
        "no checkpoint in this folder" if which == "latest" else f"no {which} checkpoint here",
        mend="give a run that saved a checkpoint, or start it anew without --resume",
        file=path,
    )


def list_checkpoints(run: PathLike) -> list[Path]:
    """The folders of a run's finished checkpoints, oldest first."""
    folder = Path(run) / "checkpoints"
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name))


def load_checkpoint(
    path: PathLike,
    *,
    which: str = "latest",
    policy: Mapping[str, Any] | None = None,
    with_trainer: bool = True,
) -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        path: a checkpoint's folder, or a run's.
        which: ``latest`` or ``best``, for a run's folder.
        policy: the policy's configuration that the caller is going to use; it must be equal.
        with_trainer: False skips trainer.pt (evaluation), ``trainer`` is then empty.

    Raises:
        UserError: nothing there, a file missing, damaged or of a newer format, another
            architecture.
    """
    folder = find_checkpoint(path, which)
    header = read_json_object(_present(folder / CONFIG))
    _check_format(header, folder / CONFIG)
    if policy is not None:
        check_architecture(policy, header["policy"], folder)
    model = _load_model(folder, header["sha256"])
    return Checkpoint(
        step=header["step"],
        stage=header["stage"],
        model=model,
        policy=header["policy"],
        recipe=header["recipe"],
        trainer=_load_trainer(folder, header["sha256"]) if with_trainer else {},
        metrics=header["metrics"],
        processors=_load_processors(folder, header["sha256"]),
    )


def check_architecture(ours: Mapping[str, Any], theirs: Mapping[str, Any], file: PathLike) -> None:
    """Raise UserError that lists the keys in which two policies' configurations differ."""
    found = differences(ours, theirs)
    if found:
        raise UserError(
            f"a policy of another architecture (here, checkpoint): {'; '.join(found)}",
            mend="use the checkpoint's policy configuration, or another checkpoint",
            file=file,
            key="policy",
        )


def load_weights(policy: nn.Module, checkpoint: Checkpoint) -> None:
    """Copy a checkpoint's weights into ``policy``; every name and shape must fit.

    Raises:
        UserError: a weight is missing, left over or of another shape.
    """
    ours, theirs = policy.state_dict(), checkpoint.model
    odd = [
        f"{name} is {_shape(theirs.get(name))} instead of {_shape(ours.get(name))}"
        for name in sorted(ours.keys() | theirs.keys())
        if _shape(ours.get(name)) != _shape(theirs.get(name))
    ]
    if odd:
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise UserError(
            f"the weights do not fit the policy: {odd[0]}{more}",
            mend="build the policy from the checkpoint's configuration",
        )
    policy.load_state_dict(theirs)


def _shape(weight: Tensor | None) -> str:
    return "absent" if weight is None else str(list(weight.shape))


def _write_files(folder: Path, checkpoint: Checkpoint, run: Path) -> None:
    # Clones: safetensors refuses weights that share memory, and ours may be tied.
    weights = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in checkpoint.model.items()
    }
    buffer = io.BytesIO()
    torch.save(checkpoint.trainer, buffer)
    blobs = {MODEL: save_safetensors(weights), TRAINER: buffer.getvalue()}
    if checkpoint.processors:
        (folder / PROCESSORS).mkdir()
        blobs.update((f"{PROCESSORS}/{name}", b) for name, b in checkpoint.processors.items())
    for name, blob in blobs.items():
        write_bytes(folder / name, blob)
    header = {
        "format_version": FORMAT_VERSION,
        "flare_version": __version__,
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "metrics": {name: _json_number(v) for name, v in checkpoint.metrics.items()},
        "sha256": {name: hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()},
        "policy": checkpoint.policy,
        "recipe": checkpoint.recipe,
    }
    write_json(folder / CONFIG, header)
    write_text(folder / CARD, _card(checkpoint, weights, run))


def _card(checkpoint: Checkpoint, weights: Mapping[str, Tensor], run: Path) -> str:
    parameters = sum(tensor.numel() for tensor in weights.values())
    lines = [
        f"# {run.name}, {checkpoint.stage}, step {checkpoint.step:,}",
        "",
        f"A flare policy with {parameters:,} weights, written by flare {__version__}.",
        "",
        "| metric | value |",
        "| --- | --- |",
        *(f"| {name} | {_number(value)} |" for name, value in checkpoint.metrics.items()),
        "",
        f"Go on training: `{_next_command(checkpoint, run)}`",
        f"Evaluate: `flare eval --checkpoint {run}/checkpoints/{checkpoint.step:09d}`",
        "",
        "`model.safetensors` the policy's weights · `config.json` its configuration and the"
        " recipe's · `trainer.pt` optimizer, counters and random state.",
    ]
    return "\n".join(lines) + "\n"


def _json_number(value: object) -> object:
    """NaN (a rate before the first episode has ended) as null, as in the metrics' log."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _next_command(checkpoint: Checkpoint, run: Path) -> str:
    if checkpoint.trainer:
        return f"flare {checkpoint.stage} --resume {run}"
    return f"flare finetune --checkpoint {run}"  # weights alone: imitated or imported


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _clear_old(root: Path, keep_last: int) -> None:
    best = read_pointer(root / "best")
    for folder in list_checkpoints(root)[:-keep_last]:
        if best is None or folder.name != best.name:
            # Renamed first: a half-removed checkpoint must not look like one.
            doomed = temporary_name(folder)
            folder.rename(doomed)
            shutil.rmtree(doomed)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise UserError(
            f"the checkpoint lacks {path.name}",
            mend="use another checkpoint of the run, or copy this one again",
            file=path.parent,
        )
    return path


_HEADER = {
    "format_version": int, "stage": str, "step": int, "metrics": dict, "sha256": dict,
    "policy": dict, "recipe": dict,
}  # fmt: skip


def _check_format(header: Mapping[str, Any], file: Path) -> None:
    version = header.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(
            f"format {version}, written by flare {header.get('flare_version')}; this flare"
            f" {__version__} reads up to format {FORMAT_VERSION}",
            mend="install a newer flare",
            file=file,
            key="format_version",
        )
    for key, kind in _HEADER.items():
        if not isinstance(header.get(key), kind):
            what = f"is {header[key]!r}" if key in header else "missing"
            raise UserError(what, mend="give a checkpoint's folder", file=file, key=key)


def _read_checked(path: Path, hashes: Mapping[str, str], name: str | None = None) -> bytes:
    """name: of the file in the hashes, if it is not the path's last part."""
    blob = _present(path).read_bytes()
    if hashlib.sha256(blob).hexdigest() != hashes.get(name or path.name):
        raise _damaged(path, f"its {len(blob):,} bytes are not those that were written")
    return blob


def _load_model(folder: Path, hashes: Mapping[str, str]) -> dict[str, Tensor]:
    path = folder / MODEL
    try:
        return load_safetensors(_read_checked(path, hashes))
    except SafetensorError as error:
        raise _damaged(path, str(error)) from error


def _load_processors(folder: Path, hashes: Mapping[str, str]) -> dict[str, bytes]:
    prefix = f"{PROCESSORS}/"
    return {
        name.removeprefix(prefix): _read_checked(folder / name, hashes, name)
        for name in hashes
        if name.startswith(prefix)
    }


def _load_trainer(folder: Path, hashes: Mapping[str, str]) -> dict[str, Any]:
    path = folder / TRAINER
    try:
        # weights_only: a checkpoint from a stranger must not run code.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of foreign pickles; the error says it
            trainer = torch.load(
                io.BytesIO(_read_checked(path, hashes)), map_location="cpu", weights_only=True
            )
    except pickle.UnpicklingError as error:
        raise _damaged(path, "it holds more than plain values and tensors") from error
    except (RuntimeError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(trainer, dict):
        raise _damaged(path, f"it holds {type(trainer).__name__} instead of a dict")
    return trainer


def _damaged(path: Path, how: str) -> UserError:
    return UserError(
        f"damaged: {how}",
        mend="use another checkpoint of the run, or copy this one again",
        file=path,
    )
