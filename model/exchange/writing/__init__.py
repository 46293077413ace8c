"""Writing graphs that float32 executes exactly."""
