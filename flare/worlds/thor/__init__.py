"""AI2-THOR behind the Worlds contract: worker processes, their supervision, and facts."""
