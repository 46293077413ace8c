"""What commands read from and write to the terminal: options, progress, streams."""
