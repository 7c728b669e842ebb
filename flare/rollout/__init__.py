"""Rollouts: the buffer that worlds and policy share, and the advantages computed from it."""
