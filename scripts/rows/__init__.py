"""Result rows: their columns, what each means, and the files that hold them."""
