"""The integer reference, and the export of trained networks."""
