"""Builds the bitstream of a program, and loads it into a board.

Start with `bitstream.build`, which gives a `Bitstream`; `programmer.flash` loads it, and
`largest.largest_on` finds the largest array that fits a board.
"""
