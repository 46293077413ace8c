"""Rules of the importer: the effect of each operator on the tensors that it reads."""
