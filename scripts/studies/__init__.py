"""Studies: measurements run by hand, whose rows are kept in ``docs/results`` and shown in docs.

``python -m narrowgauge.scripts.studies`` lists them.
"""
