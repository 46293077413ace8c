"""Quantised networks from and for other tools, as QONNX.

Start with `importer.import_qonnx` or `brevitas.import_brevitas`, and `writing.qonnx.save_qonnx` for
the way back; `agree.agree` compares a graph with its import on images. Operators are in `nodes`.
"""
