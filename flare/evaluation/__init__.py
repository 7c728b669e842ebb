"""Evaluation: frozen episodes, numbers with intervals, paired comparisons."""
