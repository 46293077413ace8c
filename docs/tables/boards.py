"""The tables of boards: bitstreams, the line, the chain of proof."""

import json

from .base import RESULTS as FOLDER
from .base import Columns, Row, read, table, versions

LINKS = FOLDER / "link.json"
BITSTREAMS = FOLDER / "bitstreams.json"
PROOFS = FOLDER / "proofs.json"
MUTATIONS = FOLDER / "mutations.json"
LINK_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "chance": lambda row: f"{row['rate']:g}",
    "images": lambda row: row["images"],
    "answered": lambda row: row["answered"],
    "wrong": lambda row: row["wrong"],
    "dropped, flipped, inserted": lambda row: "{dropped}, {flipped}, {inserted}".format(**row),
    "images sent again": lambda row: row["retries"],
    "seconds": lambda row: f"{row['seconds']:.1f}",
}


def link() -> str:
    """Return the table of test sets through a noisy line."""
    rows = read(LINKS)
    commands = dict.fromkeys(row["command"] for row in rows)
    tools = {name: text for row in rows for name, text in row["versions"].items()}
    caption = f"{versions(tools)}. Made by {' and '.join(f'`{each}`' for each in commands)}."
    return f"{table(LINK_COLUMNS, rows)}\n\n{caption}\n"


def _used(row: Row, name: str) -> str:
    found = row["utilisation"].get(name)
    return "{used} of {available}".format(**found) if found else ""


BITSTREAM_COLUMNS: Columns = {
    "board": lambda row: f"`{row['board']}`",
    "target": lambda row: row["target"],
    "LUT": lambda row: _used(row, "lut"),
    "block RAM": lambda row: _used(row, "bram"),
    "DSP": lambda row: _used(row, "dsp"),
    "clock, MHz": lambda row: f"{row['frequency_mhz']:.2f}",
    "Fmax, MHz": lambda row: f"{row['fmax_mhz']:.2f}",
    "seed": lambda row: row["seed"],
}


def bitstreams() -> str:
    """Return the table of bitstreams, one a board."""
    rows = read(BITSTREAMS)
    found = {name: text for row in rows for name, text in row["tools"].items() if name != "packer"}
    return f"{table(BITSTREAM_COLUMNS, rows)}\n\n{versions(found)}.\n"


PROOF_COLUMNS: Columns = {
    "board": lambda row: f"`{row['board']}`",
    "network": lambda row: row["network"],
    "link": lambda row: row["name"],
    "images": lambda row: f"{row['images']:,}",
    "mismatches": lambda row: row["mismatches"],
    "cycles": lambda row: f"{row['cycles']:,}",
    "seconds": lambda row: f"{row['seconds']:,.0f}",
}


def proofs() -> str:
    """Return the table of chains of proof, a line for each link."""
    chains = read(PROOFS)
    names = ("board", "network")
    links = [
        {name: chain["bitstream"][name] for name in names} | link
        for chain in chains
        for link in chain["links"]
    ]
    commands = "\n".join(chain["command"] for chain in chains)
    return f"{table(PROOF_COLUMNS, links)}\n\nMade by:\n\n```sh\n{commands}\n```\n"


def mutations() -> str:
    """Return how many faults the chain catches, and why others survive."""
    found = json.loads(MUTATIONS.read_text(encoding="utf-8"))
    why = "; ".join(f"{reason} ({count})" for reason, count in found["survivors"].items())
    said = (
        "Of {faults:,} faults in {gates:,} gates of {network} on the default array, {caught:,} "
        "({share:.1%}) are caught with all {images} images of the test set, "
        "{caught_with_20_images:,} of them with the first 20; in {seconds_of_faults:.0f} s. "
    )
    return (
        said.format(**found)
        + f"Why {found['faults'] - found['caught']} survive: {why or 'none does'}.\n"
    )
