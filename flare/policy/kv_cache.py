"""Keys and values of the running episodes, in fixed arrays."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flare.errors import UserError
from flare.kernels.decode_attention import decode_attention


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

    Environment n owns row n, a ring of S places. A step appends one place in every layer:
    ``open_step`` settles where, ``attend`` fills it layer by layer, ``advance`` counts it once all
    layers have. An episode of more than S observations goes on with its last S: keys carry no
    position, so the order of places means nothing. Not thread-safe.
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
        """max_len: S, places per environment; an episode of max_len observations fits whole."""
        shape = (num_layers, num_envs, max_len, num_heads, head_dim)
        # A plain tensor even if made in inference mode, as updates read copies of it.
        with torch.inference_mode(False):
            self.keys = torch.zeros(shape, dtype=dtype, device=device)
            self.values = torch.zeros(shape, dtype=dtype, device=device)
            self.lengths = torch.zeros(num_envs, dtype=torch.int64, device=device)
            # On an accelerator a copy on the CPU, so that used() waits for nothing.
            self._host = self.lengths if self.lengths.is_cpu else torch.zeros(num_envs).long()
        self.starts: Tensor | None = None  # [N] int64, first visible place of the open step
        self.stops = self.lengths  # [N] int64, past its last
        self._place = self.lengths  # [N] int64, where it is written
        self.span = 0  # places from 0 on that the open step may read

    @property
    def max_len(self) -> int:
        """S: places per environment."""
        return self.keys.shape[2]

    def used(self) -> int:
        """Places that the longest memory fills."""
        return min(int(self._host.max()), self.max_len)

    @torch.no_grad()
    def open_step(self, time_step: Tensor, span: int | None = None) -> None:
        """Choose the places of the step that is now written, and those that it sees.

        Args:
            time_step: [N] int64; read by SharedCounterCache only.
            span: read the first ``span`` places, at least used() + 1 or S, where a CUDA graph
                needs one size for many steps; None: as few as are filled.
        """
        self.span = min(self.used() + 1, self.max_len) if span is None else span
        self._place = self.lengths % self.max_len
        self.stops = (self.lengths + 1).clamp(max=self.max_len)

    def attend(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Put the open step's keys and values [N, H, D] of one layer into its places, and look.

        Returns:
            [N, H, D], what the queries [N, H, D] find in all that is visible.
        """
        return decode_attention(
            queries, keys, values, self.keys[layer], self.values[layer], place=self._place,
            kv_len=self.stops, kv_start=self.starts, span=self.span,
        )  # fmt: skip

    @torch.no_grad()
    def advance(self) -> None:
        """Count the places that ``attend`` has filled in every layer."""
        self.lengths += 1
        self.count_on_host()

    def count_on_host(self) -> None:
        """The CPU's part of ``advance``; alone after the replay of a captured one."""
        if self._host is not self.lengths:
            self._host += 1

    @torch.no_grad()
    def reset(self, env_mask: Tensor) -> None:
        """Forget everything of the environments where env_mask ([N] bool) is true."""
        self.lengths.masked_fill_(env_mask.to(self.lengths.device), 0)
        if self._host is not self.lengths:
            self._host.masked_fill_(env_mask.cpu(), 0)

    @torch.no_grad()
    def restart(self) -> None:
        """Forget everything: a rollout begins without memory."""
        self.lengths.zero_()
        self._host.zero_()

    @torch.no_grad()
    def prefix(self) -> KVPrefix:
        """A detached copy of what is filled now."""
        used = self.used()
        return KVPrefix(
            keys=self.keys[:, :, :used].clone(),
            values=self.values[:, :, :used].clone(),
            lengths=self.lengths.clamp(max=self.max_len),
        )

    @torch.no_grad()
    def select(self, env_ids: Tensor) -> "KVCache":
        """A copy of the rows env_ids ([n] int64) with room for one more step."""
        used = min(int(self._host[env_ids.cpu()].max()), self.max_len)
        copy = self._empty(len(env_ids), used + 1)
        ids = env_ids.to(self.lengths.device)
        copy.keys[:, :, :used] = self.keys[:, ids, :used]
        copy.values[:, :, :used] = self.values[:, ids, :used]
        copy.load_lengths(self.lengths[ids].clamp(max=self.max_len))
        return copy

    def _empty(self, num_envs: int, max_len: int) -> "KVCache":
        layers, _, _, heads, dim = self.keys.shape
        return type(self)(
            num_layers=layers, num_envs=num_envs, max_len=max_len, num_heads=heads, head_dim=dim,
            dtype=self.keys.dtype, device=self.keys.device,
        )  # fmt: skip

    def load_lengths(self, lengths: Tensor) -> None:
        """Set how much every environment remembers ([N] int64), here and on the CPU."""
        self.lengths.copy_(lengths)
        if self._host is not self.lengths:
            self._host.copy_(lengths)

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
        self.load_lengths(self.lengths)


class SharedCounterCache(KVCache):
    """The original's cache: one place for all environments, counted on over their episodes' ends.

    Step c of the cache is written at place c in every row, and environment n sees the places
    ``max(0, c - time_step[n])`` to c. At S the counter drops to 0, in mid-episode too, and what was
    seen before is lost. Only ``restart`` (the original: any multi-step call) sets it to 0 besides.
    ``lengths`` holds the counter, the same number in every row.
    """

    @torch.no_grad()
    def open_step(self, time_step: Tensor, span: int | None = None) -> None:
        """Choose the places of the step; arguments as in KVCache.open_step."""
        if self._host.max() >= self.max_len:
            self.restart()
        super().open_step(time_step, span)
        self.starts = (self.lengths - time_step).clamp(min=0)

    def reset(self, env_mask: Tensor) -> None:
        """Nothing: the mask of time steps is all that parts episodes."""

    def prefix(self) -> KVPrefix:
        """Refused: a prefix has no window of its own per environment.

        Raises:
            UserError: always.
        """
        raise UserError(
            "is 'carry', but a cache with the original's shared counter is lost at each update",
            key="collector.memory",
            mend="use 'reset', or turn compat.shared_counter off",
        )
