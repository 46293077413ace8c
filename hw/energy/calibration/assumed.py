"""What nobody measured on a UP5K: assumptions, each with a range and what it rests on."""

from ..model import Ranged

__all__ = ["GLITCHES", "JUDGEMENT", "MEMORIES", "RESTS_ON"]

MEMORIES = {"bram": Ranged(4.4, 1.0, 9.0), "spram": Ranged(9.0, 3.0, 18.0)}
"""Picojoules of a read or write of 16 bits."""
GLITCHES = Ranged(1.5, 1.2, 2.0)
"""Changes for each that lasts, where no study has measured any."""
JUDGEMENT = 0.4
"""By which share the coefficient of wires may be wrong: a judgement, as one measurement sets it."""
RESTS_ON = {
    "bram": (
        "an assumption: a read of 64 bits of an 8 kB cache at 45 nm and 0.9 V takes 10 pJ "
        "(Horowitz, ISSCC 2014); a quarter of it, at 1.2 V; no measurement of a UP5K"
    ),
    "spram": (
        "an assumption: as block RAM, and twice that for a memory of 32 kB; no measurement of a "
        "UP5K"
    ),
    "wire": (
        "the measured product in LUTs, and wires of its routed netlist by their lengths; the range "
        "of 40 % is a judgement"
    ),
    "block": (
        "the measured product in a block, less its wires; the range is what other lengths of wires "
        "would leave for it: all alike, or spans alone"
    ),
    "static": "measured with the clock halted, and with an empty design",
    "clock": "nine measured powers at 6 to 48 MHz; the range is that of fits without one of them",
    "register": "counters of 28 to 224 bits; the range is that of fits without one of them",
    "glitches": (
        "designs simulated with routed delays, those with the same weights where there are any; "
        "the range is theirs"
    ),
}
