"""Sweeps: a plan of many designs, run job by job, and its rows."""
