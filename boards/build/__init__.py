"""From a program to a bitstream, and into a board."""
