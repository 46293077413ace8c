"""The study ``latotzke2022``: widths of layers and channels, on arrays of slices and of wholes."""
