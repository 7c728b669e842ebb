"""Trajectories in the published CHORES layout, task specs from files, downloads."""
