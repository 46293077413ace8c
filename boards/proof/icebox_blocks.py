"""Run beside IceStorm's ``icebox``: what its ``icebox_vlog`` leaves out of an unpacked bitstream.

``python icebox_blocks.py FOLDER-OF-ICEBOX UNPACKED PACKAGE`` prints JSON: where the ports of each
DSP block and single-port RAM are, and their configuration bits; and where pins are.
"""

import importlib
import json
import sys
import warnings
from typing import Any

__all__ = ["describe"]


def describe(icebox: Any, path: str, package: str) -> dict[str, Any]:
    """Return what there is: ``blocks`` and ``pins``.

    Parameters
    ----------
    icebox : module
        IceStorm's.
    path : str
        What ``iceunpack`` wrote.
    package : str
        As icebox calls it, such as ``ct256``.
    """
    config = icebox.iceconfig()
    config.read_file(path)
    pins = {str(pin): [x, y, io] for pin, x, y, io in config.pinloc_db(package)}
    blocks = []
    if config.device == "5k":
        for x, y in config.dsp_tiles[0]:
            ports, bits = config.get_dsp_nets_db(x, y), config.get_dsp_config_db(x, y)
            blocks.append({"cell": "SB_MAC16", "ports": ports, "bits": _read(icebox, config, bits)})
        for (cell, _), entries in icebox.extra_cells_db["5k"].items():
            if cell == "SPRAM":
                bits = {"SPRAM_EN": entries["SPRAM_EN"]}
                ports = {name: at for name, at in entries.items() if name not in bits}
                found = _read(icebox, config, bits)
                blocks.append({"cell": "SB_SPRAM256KA", "ports": ports, "bits": found})
    return {"blocks": blocks, "pins": pins}


def _read(icebox: Any, config: Any, places: dict[str, Any]) -> dict[str, int]:
    """Return configuration bits by name."""
    found = {}
    for name, (x, y, bit) in places.items():
        tile = icebox.tileconfig(config.tile(x, y))
        (entry,) = [each for each in config.tile_db(x, y) if each[1:] == ["IpConfig", bit]]
        found[name] = int(tile.match(entry[0]))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.path.insert(0, sys.argv[1])
    print(json.dumps(describe(importlib.import_module("icebox"), *sys.argv[2:])))
