"""What `update.py` writes into the pages, one module a kind of table."""
