"""Exact requantisation: step functions of a layer's sums, and the integers that equal them.

`transfer` and `quantizer` describe a layer in rational numbers, `unsolved.UnsolvedLayer` holds it;
`solving.solve_all` finds integers for every layer, each compared at all sums that can occur.
"""
