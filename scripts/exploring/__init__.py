"""Explores widths under a device's limits: sensitivities, an integer program, arrays that fit.

What is chosen is placed and routed, and simulated on test images.
"""
