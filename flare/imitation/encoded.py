"""Demonstrations as a policy with a frozen image encoder learns from them: features, not frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from flare.atomic import atomic_path
from flare.errors import UserError
from flare.imitation.demonstrations import Demonstrations
from flare.policy.policy import Policy

_AT_ONCE = 256  # frames encoded in one call


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedDemonstrations:
    """E expert episodes of M steps in all, packed one after the other."""

    features: NDArray[np.floating[Any]]  # [M, F] of Policy.encode_frames
    prev_actions: NDArray[np.int64]  # [M] executed before, num_actions at an episode's first step
    expert_actions: NDArray[np.int64]  # [M] what to learn
    in_hand: NDArray[np.int64]  # [M] 1 while an object was in the hand
    offsets: NDArray[np.int64]  # [E + 1] episode e holds steps offsets[e] to offsets[e + 1]
    instructions: list[str]  # [E]

    @property
    def num_episodes(self) -> int:
        """E."""
        return len(self.instructions)

    @classmethod
    def of(
        cls, policy: Policy, demonstrations: Demonstrations, dtype: DTypeLike = np.float32
    ) -> "EncodedDemonstrations":
        """The demonstrations as the policy's image encoder sees them from here on."""
        return cls(
            features=_encode(policy, demonstrations.frames, dtype),
            prev_actions=_previous(demonstrations, policy.num_actions),
            expert_actions=demonstrations.expert_actions,
            in_hand=demonstrations.in_hand,
            offsets=demonstrations.offsets,
            instructions=demonstrations.instructions,
        )

    @classmethod
    def join(cls, parts: Sequence["EncodedDemonstrations"]) -> "EncodedDemonstrations":
        """All episodes of the parts, at least one, in their order."""
        steps = np.cumsum([0, *(len(part.features) for part in parts)])
        moved = [part.offsets[1:] + first for part, first in zip(parts, steps[:-1], strict=True)]
        names = ("features", "prev_actions", "expert_actions", "in_hand")
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names},
            offsets=np.concatenate([[0], *moved]),
            instructions=[text for part in parts for text in part.instructions],
        )

    def save(self, path: Path) -> None:
        """Write one file, whole or not at all."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez(
                file, features=self.features, prev_actions=self.prev_actions,
                expert_actions=self.expert_actions, in_hand=self.in_hand, offsets=self.offsets,
                instructions=np.array(self.instructions),
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "EncodedDemonstrations":
        """Read what save() wrote.

        Raises:
            UserError: it is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in cls.__dataclass_fields__}
        except (OSError, KeyError, ValueError, EOFError) as error:
            raise UserError(
                f"holds no encoded demonstrations ({error})",
                file=path,
                mend="remove it, and go on: it is made anew",
            ) from error
        return cls(**{**arrays, "instructions": arrays["instructions"].tolist()})


@torch.no_grad()
def _encode(policy: Policy, frames: NDArray[np.uint8], dtype: DTypeLike) -> NDArray[Any]:
    out = np.empty((len(frames), policy.num_features), dtype)
    for first in range(0, len(out), _AT_ONCE):
        piece = torch.from_numpy(frames[first : first + _AT_ONCE])
        out[first : first + _AT_ONCE] = policy.encode_frames(piece).numpy()
    return out


def _previous(demonstrations: Demonstrations, num_actions: int) -> NDArray[np.int64]:
    previous = np.concatenate([[num_actions], demonstrations.actions[:-1]])
    previous[demonstrations.offsets[:-1]] = num_actions
    return previous
