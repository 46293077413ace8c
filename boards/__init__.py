"""Boards: their catalogue, gateware, link, bitstreams, and the proof of these.

`catalogue` lists the boards, `gateware` is the device around the accelerator, `protocol` the frames
of its line. `build` makes bitstreams, `host` talks to a board, and `proof` checks a bitstream
against the network and has boards in simulation.
"""
