"""The command line, and what its commands share.

`commands` has a module for each command, `terminal` what they read and print. `runs` is the work of
``narrowgauge run``, `sweeps` that of plans; `rows` are the results, `reporting` shows them, and
`studies` are measurements by hand.
"""
