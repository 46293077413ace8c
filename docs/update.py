"""Write the tables of README.md and of docs/ from the results and from the zoo's files.

::

    python docs/update.py          # rewrite the tables
    python docs/update.py --check  # exit with 1 when one is not current
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tables import (
    accumulators,
    adversarial,
    boards,
    columns,
    costs,
    elements,
    energy,
    floats,
    networks,
    shapes,
    simulators,
)

from narrowgauge.hw.files import write_atomically
from narrowgauge.scripts.papers.kept import KeptRows, kept
from narrowgauge.scripts.papers.page import page, write_page
from narrowgauge.scripts.papers.perform import STUDIES
from narrowgauge.scripts.papers.study import Study

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
ZOO = ROOT / "docs" / "zoo.md"
QONNX = ROOT / "docs" / "qonnx.md"
FLOATS = ROOT / "docs" / "floats.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
BREVITAS = ROOT / "docs" / "brevitas.md"
POST_TRAINING = ROOT / "docs" / "post-training.md"
TFLITE = ROOT / "docs" / "tflite.md"
OUTPUTS = ROOT / "docs" / "outputs.md"
ARRAY = ROOT / "docs" / "array.md"
ACCUMULATORS = ROOT / "docs" / "accumulators.md"
EXPLORE = ROOT / "docs" / "explore.md"
COSTS = ROOT / "docs" / "costs.md"
SYNTHESIS = ROOT / "docs" / "synthesis.md"
POPCOUNT = ROOT / "docs" / "popcount.md"
PEAKS = ROOT / "docs" / "peaks.md"
LINK = ROOT / "docs" / "link.md"
BOARDS = ROOT / "docs" / "boards.md"
VERIFY = ROOT / "docs" / "verify.md"
SIMULATION = ROOT / "docs" / "simulation.md"
COLUMNS = ROOT / "docs" / "reading-a-report.md"
ENERGY = ROOT / "docs" / "energy.md"
SHAPES = ROOT / "docs" / "resnet-shapes.md"
PAPERS = ROOT / "docs" / "studies"

SECTIONS: dict[str, tuple[Path, Callable[[], str]]] = {
    "results": (README, networks.results),
    "zoo": (ZOO, networks.zoo),
    "testsets": (ZOO, networks.testsets),
    "qonnx": (QONNX, networks.exported),
    "brevitas": (BREVITAS, networks.trained),
    "post_training": (POST_TRAINING, networks.quantised),
    "untrained": (POST_TRAINING, networks.untrained),
    "channel_widths": (POST_TRAINING, networks.channel_widths),
    "tflite": (TFLITE, networks.tflite),
    "values": (OUTPUTS, networks.images),
    "fitting": (ACCUMULATORS, accumulators.fitting),
    "limited": (ACCUMULATORS, accumulators.limited),
    "adversarial": (ACCUMULATORS, adversarial.layers),
    "blocks": (ACCUMULATORS, accumulators.blocks),
    "depthwise": (ARCHITECTURE, networks.depthwise),
    "macs": (COSTS, costs.macs),
    "lanes": (COSTS, costs.lanes),
    "floats": (COSTS, floats.elements),
    "float_networks": (FLOATS, floats.networks),
    "float_run": (FLOATS, floats.run),
    "bits": (COSTS, accumulators.bits),
    "slices": (ARRAY, costs.slices),
    "mixed": (ARRAY, networks.mixed),
    "explored": (EXPLORE, networks.explored),
    "channel_costs": (ARRAY, costs.channel_costs),
    "scalable": (ARRAY, elements.scalable),
    "options": (SYNTHESIS, costs.options),
    "estimator": (SYNTHESIS, costs.estimator),
    "popcounts": (POPCOUNT, costs.popcounts),
    "peaks": (PEAKS, costs.peaks),
    "link": (LINK, boards.link),
    "bitstreams": (BOARDS, boards.bitstreams),
    "proofs": (VERIFY, boards.proofs),
    "mutations": (VERIFY, boards.mutations),
    "simulators": (SIMULATION, simulators.simulators),
    "coefficients": (ENERGY, energy.coefficients),
    "calibration": (ENERGY, energy.calibration),
    "glitches": (ENERGY, energy.glitches),
    "placements": (ENERGY, energy.placements),
    "energy_run": (ENERGY, energy.run),
    "shapes": (SHAPES, shapes.shapes),
    "shapes_accelerators": (SHAPES, shapes.accelerators),
    "shapes_ratios": (SHAPES, shapes.ratios),
    "shapes_kinds": (SHAPES, shapes.kinds),
    "shapes_bandwidths": (SHAPES, shapes.bandwidths),
    "shapes_layers": (SHAPES, shapes.layers),
    "shapes_paper": (SHAPES, shapes.paper),
    "asked": (COLUMNS, columns.asked),
    "compared": (COLUMNS, columns.compared),
    "sized": (COLUMNS, columns.sized),
    "layer": (COLUMNS, columns.layer),
    "hardware": (COLUMNS, columns.hardware),
}
"""What stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``, and in which file."""


def updated(text: str, name: str, content: str) -> str:
    """Return ``text`` with ``content`` between the markers called ``name``."""
    section = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if not section.search(text):
        raise SystemExit(f"there are no markers <!-- {name} --> and <!-- /{name} -->")
    return section.sub(lambda _: content, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only tell whether they are current")
    only_check = parser.parse_args(arguments).check
    status = 0
    for name, (path, content) in SECTIONS.items():
        text = path.read_text(encoding="utf-8")
        wanted = updated(text, name, content())
        if wanted == text:
            continue
        if only_check:
            print(f"{path.name} is not current: run python docs/update.py", file=sys.stderr)
            status = 1
        else:
            write_atomically(path, wanted)
    for study in STUDIES.values():
        status |= _study(study, only_check)
    return status


def _study(study: Study, only_check: bool) -> int:
    """Write page and figures of a study from the rows that are kept; return 1 where it is old.

    Figures differ with the version of what draws them, so that they are not looked at.
    """
    rows = KeptRows.read(kept(study.name))
    path = PAPERS / f"{study.name}.md"
    if not only_check:
        write_page(study, rows, PAPERS)
    elif not path.exists() or path.read_text(encoding="utf-8") != page(study, rows):
        print(f"{path.name} is not current: run python docs/update.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
