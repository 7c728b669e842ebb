"""Episode logs: what was played, small enough to keep, played again to the same bits."""
