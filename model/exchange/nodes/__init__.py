"""Rules of the importer: the effect of each operator on the tensors that it reads.

Operators of a kind share a module; `context.ImportContext` is the state of an import.
"""
