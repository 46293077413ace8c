"""Sweeps: every combination that a plan lists, measured on one machine or many."""
