"""Builds the bitstream of a program, and loads it into a board."""
