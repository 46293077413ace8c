"""The integer reference, and the export of trained networks.

Start with `export.export`, which turns a trained model into a network, and `reference.evaluate`,
which gives its levels and labels for images: what hardware must equal.
"""
