"""What travels on the line: frames, what a device says of itself, what the host learns."""
