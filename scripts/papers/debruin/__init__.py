"""The study ``debruin2020``: accuracy against the width of the accumulator."""
