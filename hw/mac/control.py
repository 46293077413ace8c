"""The control of a step."""

from amaranth.lib import data

__all__ = ["CONTROL"]

CONTROL = data.StructLayout({"enable": 1, "double": 1, "last": 1})
"""Control of a step: accumulate it; double afterwards (end of a bit plane, or of a slice, which
shifts by its bits); end the sum."""
