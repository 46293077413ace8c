"""Data, quantised training, export and the integer reference (PyTorch)."""
