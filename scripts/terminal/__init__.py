"""Terminal of the commands: options, progress, output streams, interrupts."""
