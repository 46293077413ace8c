"""Result rows: their columns, what each means, and the files that hold them.

`row.ResultRow` has all columns, with units and meaning; `writing.write_results` writes the files.
"""
