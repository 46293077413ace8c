"""Layers as they are trained: quantisers, steps with and without weights, norms.

A `blocks.Model` is a graph of steps; `quantize` has the quantisers of weights and activations.
"""
