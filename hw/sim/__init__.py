"""Simulation: two engines behind one interface, and the comparison with the reference."""
