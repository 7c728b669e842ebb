"""A stream of random numbers for one house, each a pure function of the house's key."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from flare.rng import keyed_uniform

T = TypeVar("T")

_BLOCK = 256


class Draws:
    """Numbers of the key (seed, split, house, attempt), drawn in order.

    Two houses never share a number, whatever process or order they are made in.
    """

    def __init__(self, seed: int, split: int, house: int, attempt: int) -> None:
        self._key = (seed, split, house, attempt)
        self._block: list[float] = []
        self._count = 0

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        place = self._count % _BLOCK
        if place == 0:
            numbers = np.arange(self._count, self._count + _BLOCK, dtype=np.uint64)
            self._block = keyed_uniform(*self._key, numbers).tolist()
        self._count += 1
        return self._block[place]

    def uniform(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """Uniform among low, …, high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Say yes with the given probability."""
        return self.unit() < probability

    def choice(self, items: Sequence[T]) -> T:
        """One of the items, each as likely."""
        return items[int(self.unit() * len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """One of the items, likely in proportion to its weight."""
        mark = self.unit() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            mark -= weight
            if mark < 0.0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return the items in random order (Fisher and Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            pick = int(self.unit() * (last + 1))
            order[last], order[pick] = order[pick], order[last]
        return order
