"""Result rows, and what is drawn and printed of them."""
