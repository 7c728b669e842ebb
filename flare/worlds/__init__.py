"""N simulated houses with a robot each: the contract, and the embedded simulator behind it."""

from flare.worlds.world import Worlds

__all__ = ["Worlds"]
