"""What a layer's channels do to their sums, exactly, and the integers that equal it."""
