"""The processes of one training run: who they are, and what they add up.

Started by torchrun, each has its own worlds; gradients, statistics and logs are those of all of
them. One process is the same code without a word over the wire.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

RESTARTS = "TORCHELASTIC_RESTART_COUNT"  # how often torchrun has started all processes anew

T = TypeVar("T")
_TIMEOUT = timedelta(minutes=10)  # of a collective call: longer than any house takes to load


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes that train together; torchrun says which this one is."""

    rank: int = 0
    count: int = 1
    local: int = 0
    per_host: int = 1

    @classmethod
    def of_environment(cls) -> "Ranks":
        """RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE; one process without them."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return cls(*(int(os.environ.get(n, d)) for n, d in zip(names, "0101", strict=True)))

    @contextlib.contextmanager
    def joined(self, device: str) -> Iterator[None]:
        """The process group, while the block runs."""
        if self.count == 1:
            yield
            return
        backend = "gloo"
        if device == "cuda":
            torch.cuda.set_device(self.local)
            backend = "cpu:gloo,cuda:nccl"
        # torchrun's store outlives the processes that it starts anew, and with it the addresses of
        # those that are gone: each start has names of its own there.
        found = next(rendezvous("env://", self.rank, self.count, timeout=_TIMEOUT))
        name = f"start {os.environ.get(RESTARTS, '0')}"
        store = dist.PrefixStore(name, found[0])  # type: ignore[attr-defined]
        dist.init_process_group(
            backend, store=store, rank=self.rank, world_size=self.count, timeout=_TIMEOUT
        )
        try:
            yield
        finally:
            dist.destroy_process_group()

    def add(self, tensor: Tensor) -> None:
        """Replace by the sum over all processes."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def largest(self, tensor: Tensor) -> None:
        """Replace by the element-wise largest over all processes."""
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)

    def gather(self, own: T) -> list[T]:
        """Every process' object, in the order of ranks; it goes by pickle between the trainers."""
        if self.count == 1:
            return [own]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, own)
        return found


ALONE = Ranks()
