"""What the policy sees of a step."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Observations with leading axes [...]: [N] when acting, [T, N] in an update."""

    features: Tensor  # [..., F] floating, from Policy.encode_frames
    tokens: Tensor  # [..., L] int64 word or token ids of the instruction, 0 pads
    prev_action: Tensor  # [...] int64, num_actions = none yet
    in_hand: Tensor  # [...] int64, 1 while an object is held, else 0
    time_step: Tensor  # [...] int64, 0 at the first observation of an episode
    facts: Tensor  # [..., K] float32 privileged features, read by the critic "facts" only

    def select(self, index: Tensor) -> "Observation":
        """The rows ``index`` ([n] int64 or bool) of the first axis, copied."""
        return Observation(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def select_envs(self, index: Tensor) -> "Observation":
        """The environments ``index`` ([n] int64) of an observation over [T, N], copied."""
        return Observation(**{f.name: getattr(self, f.name)[:, index] for f in fields(self)})

    def envs(self, start: int, stop: int) -> "Observation":
        """Environments start to stop of an observation over [T, N], as views."""
        return Observation(**{f.name: getattr(self, f.name)[:, start:stop] for f in fields(self)})

    def to(self, device: torch.device) -> "Observation":
        """The same on a device; what is there already is not copied."""
        moved = {f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        return Observation(**moved)

    def with_features(self, features: Tensor) -> "Observation":
        """The same steps with other image features [..., F]."""
        others = {f.name: getattr(self, f.name) for f in fields(self)}
        return Observation(**{**others, "features": features})

    def batch_first(self) -> "Observation":
        """[T, N, ...] to [N, T, ...], or back, as views."""
        return Observation(
            **{f.name: torch.transpose(getattr(self, f.name), 0, 1) for f in fields(self)}
        )

    def flat(self) -> "Observation":
        """[A, B, ...] to [A·B, ...]."""
        return Observation(**{f.name: getattr(self, f.name).flatten(0, 1) for f in fields(self)})
