"""Recipes that move weights: the demo's whole loop, imitation, fine-tuning, demonstrations."""
