"""Reports of result rows: the interactive page, figures, charts, tables for the terminal.

`rows.read` reads result files, `assemble.build` writes a report of them.
"""
