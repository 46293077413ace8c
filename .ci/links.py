"""Link ``build/typing/narrowgauge/NAME`` to every package, as setuptools' ``package-dir`` has it.

Pyright reads no ``package-dir``; with these links it finds ``narrowgauge.hw`` where Python does.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]

links = ROOT / "build" / "typing" / "narrowgauge"
links.mkdir(parents=True, exist_ok=True)
for name, folder in TABLE.items():
    link = links / name.rpartition(".")[2]
    if not link.is_symlink():
        link.symlink_to(ROOT / folder)
