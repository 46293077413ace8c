"""ONNX graphs before they are imported.

`cleaning.read` reads a file, `wellformed` checks the graph, and `cleaning.clean` folds constants
and finds every shape.
"""
