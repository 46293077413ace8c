"""The protocol of the line: frames, the device's description, outcomes at the host."""
