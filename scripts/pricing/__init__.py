"""The price of accuracy: what networks of a family cost that reach a target, format by format."""
