"""What each operator of a graph does to the tensors that it reads."""
