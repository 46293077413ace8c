"""The batch engine: many images a pass, each net a vector with one bit an image."""
