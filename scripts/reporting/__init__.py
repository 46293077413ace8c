"""The report: result rows as figures, a table, and one page."""
