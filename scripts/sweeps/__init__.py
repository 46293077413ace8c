"""Sweeps: every combination that a plan lists, measured on one machine or many.

`plan.read_plan` reads a plan, `perform.perform` measures its points and writes their rows;
`cluster` spreads them over machines.
"""
