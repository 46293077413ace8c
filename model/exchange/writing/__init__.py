"""Writes networks as graphs that float32 executes exactly.

Start with `qonnx.to_qonnx` or `qonnx.save_qonnx`; `float32` checks the arithmetic of each layer.
"""
