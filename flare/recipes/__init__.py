"""Recipes: whole stages, each one function over a config; the command line calls these."""
