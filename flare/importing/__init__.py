"""Checkpoints of the original: read into flare's folder, written back in their own layouts."""
