"""Output side, from partial sums to the stream: drain, level unit, writer, emitter."""
