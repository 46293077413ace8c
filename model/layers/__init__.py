"""Layers as they are trained: quantisers, steps with and without weights, norms."""
