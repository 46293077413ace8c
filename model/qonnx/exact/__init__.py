"""From sums to levels in exact arithmetic: curves, quantisers, and the integers that equal them."""
