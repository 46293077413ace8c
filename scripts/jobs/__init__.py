"""Jobs whose values the result store keeps: those of studies, and of the price of accuracy."""
