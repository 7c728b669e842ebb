"""Tensors of the original's layouts to flare's state dict and back."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from flare.errors import UserError
from flare.importing.layout import CRITIC_TOWER, Placed
from flare.policy.time_encoding import TimeEncoding

_LISTED = 12  # keys of one kind that an error spells out


def import_weights(
    theirs: Mapping[str, Tensor], placed: Iterable[Placed], *, width: int
) -> dict[str, Tensor]:
    """The original's tensors under our names.

    Args:
        theirs: the state dict, every key without a Lightning prefix.
        placed: the entries it must hold, no more and no less.
        width: of the policy, for the time table.

    Raises:
        UserError: missing, surplus or misshapen keys, all listed; two names of one tensor that
            differ; a time table that is not the formula's.
    """
    wanted = list(placed)
    _check_keys(theirs, wanted)
    chunks: dict[str, list[Tensor | None]] = {}
    for place in wanted:
        tensor = theirs[place.theirs]
        if place.ours is None:
            _check_time_table(place.theirs, tensor, width)
            continue
        parts = chunks.setdefault(place.ours, [None] * place.parts)
        held = parts[place.part]
        if held is not None and not torch.equal(held, tensor):
            raise UserError(
                "differs from the other copy of the same tensor",
                key=place.theirs,
                mend="give a file whose copies agree",
            )
        parts[place.part] = tensor
    ours: dict[str, Tensor] = {}
    shapes = {p.ours: _our_shape(p) for p in wanted if p.ours is not None}
    for name, parts in chunks.items():
        tensors = [part for part in parts if part is not None]
        assert len(tensors) == len(parts), f"the layout leaves a part of {name} open"
        ours[name] = torch.cat([t.reshape(-1) for t in tensors]).view(shapes[name]).clone()
    return ours


def export_weights(
    ours: Mapping[str, Tensor], placed: Iterable[Placed], *, width: int
) -> dict[str, Tensor]:
    """Our tensors under the original's names and shapes, in the original's order, on the CPU.

    Raises:
        KeyError: ours lacks an entry of the layout.
    """
    out: dict[str, Tensor] = {}
    for place in placed:
        if place.ours is None:
            out[place.theirs] = TimeEncoding(width).frequencies
            continue
        whole = ours[place.ours].detach().cpu()
        part = whole.reshape(place.parts, -1)[place.part]
        out[place.theirs] = part.reshape(place.shape).clone()
    return out


def _our_shape(place: Placed) -> tuple[int, ...]:
    if place.parts == 1:
        # Only 1 x 1 convolutions change their number of axes: linear layers here.
        is_pointwise = len(place.shape) == 4 and place.shape[2:] == (1, 1)
        return place.shape[:2] if is_pointwise else place.shape
    if len(place.shape) == 1:
        return (place.parts, *place.shape)
    return (place.parts * place.shape[0], *place.shape[1:])


def _check_time_table(key: str, table: Tensor, width: int) -> None:
    if not torch.allclose(table.float(), TimeEncoding(width).frequencies, rtol=1e-4, atol=0.0):
        raise UserError(
            "is not exp(-2k ln(10000) / d), the only time encoding there is here",
            key=key,
            mend="give a checkpoint of the SPOC/FLaRe architecture",
        )


def _check_keys(theirs: Mapping[str, Tensor], wanted: list[Placed]) -> None:
    shapes = {place.theirs: place.shape for place in wanted}
    missing = [name for name in shapes if name not in theirs]
    surplus = [name for name in theirs if name not in shapes]
    misshapen = [
        f"{name} is {list(theirs[name].shape)} instead of {list(shape)}"
        for name, shape in shapes.items()
        if name in theirs and tuple(theirs[name].shape) != shape
    ]
    problems = [
        f"{len(names)} {kind}: {_list(names)}"
        for kind, names in (("missing", missing), ("surplus", surplus), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise UserError(
            f"its keys are not those of this architecture; {'; '.join(problems)}",
            mend="give a whole checkpoint of the original, or choose the --preset it was made with",
        )


def _list(names: list[str]) -> str:
    shown = ", ".join(names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def has_critic_tower(theirs: Iterable[str]) -> bool:
    """Whether a reinforcement checkpoint's keys are those of two towers."""
    return any(name.startswith(CRITIC_TOWER) for name in theirs)
