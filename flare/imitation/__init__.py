"""Learning from demonstrations and from the simulator's free labels."""
