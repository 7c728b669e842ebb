"""Proximal policy optimisation on whole rollouts."""
