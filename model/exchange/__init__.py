"""Quantised networks from and for other tools, as QONNX."""
