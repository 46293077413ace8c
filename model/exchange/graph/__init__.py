"""ONNX files: read, checked, cleaned."""
