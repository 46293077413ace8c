"""Studies of papers: a plan of networks and formats, claims with tests, figures, and a page.

`study.Study` is what one is, a file for each; `running` runs its jobs, `kept` keeps its rows,
`page` writes what they say.
"""
