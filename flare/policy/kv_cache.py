"""Keys and values of the running episodes, in fixed arrays."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class KVPrefix:
    """What the episodes remembered when a rollout began: constants of the update."""

    keys: Tensor  # [L, N, P, H, D]
    values: Tensor  # [L, N, P, H, D]
    lengths: Tensor  # [N] int64, filled places of the P

    def envs(self, start: int, stop: int) -> "KVPrefix":
        """Environments start to stop, as views."""
        return KVPrefix(
            keys=self.keys[:, start:stop],
            values=self.values[:, start:stop],
            lengths=self.lengths[start:stop],
        )


class KVCache:
    """Keys and values of N environments, each with its own length; nothing is allocated per step.

    Environment n owns row n. A step appends one place in every layer: ``write`` fills it layer by
    layer, ``advance`` counts it once all layers have. Not thread-safe.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_envs: int,
        max_len: int,
        num_heads: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | None = None,
    ) -> None:
        """max_len: places per environment; an episode of max_len observations fits."""
        shape = (num_layers, num_envs, max_len, num_heads, head_dim)
        # A plain tensor even if made in inference mode, as updates read copies of it.
        with torch.inference_mode(False):
            self.keys = torch.zeros(shape, dtype=dtype, device=device)
            self.values = torch.zeros(shape, dtype=dtype, device=device)
            self.lengths = torch.zeros(num_envs, dtype=torch.int64, device=device)
            self._rows = torch.arange(num_envs, device=device)

    @property
    def max_len(self) -> int:
        """S: places per environment."""
        return self.keys.shape[2]

    def used(self) -> int:
        """Places that the longest memory fills."""
        return int(self.lengths.max())

    @torch.no_grad()
    def write(self, layer: int, keys: Tensor, values: Tensor) -> None:
        """Put the step's keys and values [N, H, D] of one layer behind each environment's last."""
        self.keys[layer, self._rows, self.lengths] = keys
        self.values[layer, self._rows, self.lengths] = values

    @torch.no_grad()
    def advance(self) -> None:
        """Count the places that ``write`` has filled in every layer."""
        self.lengths += 1

    @torch.no_grad()
    def reset(self, env_mask: Tensor) -> None:
        """Forget everything of the environments where env_mask ([N] bool) is true."""
        self.lengths.masked_fill_(env_mask, 0)

    @torch.no_grad()
    def prefix(self) -> KVPrefix:
        """A detached copy of what is filled now."""
        used = self.used()
        return KVPrefix(
            keys=self.keys[:, :, :used].clone(),
            values=self.values[:, :, :used].clone(),
            lengths=self.lengths.clone(),
        )

    @torch.no_grad()
    def select(self, env_ids: Tensor) -> "KVCache":
        """A copy of the rows env_ids ([n] int64) with room for one more step."""
        layers, _, _, heads, dim = self.keys.shape
        used = int(self.lengths[env_ids].max())
        copy = KVCache(
            num_layers=layers,
            num_envs=len(env_ids),
            max_len=used + 1,
            num_heads=heads,
            head_dim=dim,
            dtype=self.keys.dtype,
            device=self.keys.device,
        )
        copy.keys[:, :, :used] = self.keys[:, env_ids, :used]
        copy.values[:, :, :used] = self.values[:, env_ids, :used]
        copy.lengths.copy_(self.lengths[env_ids])
        return copy

    def state_dict(self) -> dict[str, Tensor]:
        """The arrays themselves, as views: ``keys``, ``values`` and ``lengths``."""
        return {"keys": self.keys, "values": self.values, "lengths": self.lengths}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copy in what state_dict() gave.

        Raises:
            ValueError: a cache of other sizes.
        """
        for name, own in self.state_dict().items():
            if state[name].shape != own.shape:
                raise ValueError(
                    f"cached {name} must be {list(own.shape)}, got {list(state[name].shape)}"
                )
            own.copy_(state[name])
