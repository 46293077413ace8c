"""From the input stream to the rows of the array: loader, feeder and its parts, max pool."""
