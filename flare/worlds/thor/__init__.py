"""AI2-THOR behind the Worlds contract: worker processes, their supervision, and facts."""

from flare.worlds.thor.config import ThorConfig
from flare.worlds.thor.worlds import ThorWorlds

__all__ = ["ThorConfig", "ThorWorlds"]
