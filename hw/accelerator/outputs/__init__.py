"""From partial sums to the output stream: drain, levels, writer, emitter."""
