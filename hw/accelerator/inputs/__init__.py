"""Input side, from the stream to the rows of the array: loader, feeder and its parts, max pool."""
