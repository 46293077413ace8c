"""The program that writes the tables of the pages: no package, but modules beside each other."""

import importlib
import sys
from pathlib import Path

__all__ = ["accumulators", "columns", "costs", "elements", "floats", "networks", "shapes", "update"]

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))
update = importlib.import_module("update")
accumulators = importlib.import_module("tables.accumulators")
columns = importlib.import_module("tables.columns")
costs = importlib.import_module("tables.costs")
elements = importlib.import_module("tables.elements")
floats = importlib.import_module("tables.floats")
networks = importlib.import_module("tables.networks")
shapes = importlib.import_module("tables.shapes")
