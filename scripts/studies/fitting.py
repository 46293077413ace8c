"""Accuracy against the width of the accumulator, for each bound of sums; run by hand.

``studies fitting MODEL DATA`` fits a float network to accumulators of ``--bits``, by each of
``--bounds``, as ``narrowgauge fit-accumulator`` does: formats are chosen on training images, and
``--fine-tune`` trains afterwards. It counts, over all test images, the sums that the register does
not hold, and runs ``--simulate`` test images on an array of slices of 2 bits. Rows are kept in
``docs/results/fitting.json``, each as soon as it is there.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ...hw.accelerator.top import Accelerator
from ...hw.errors import NetworkError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import OVERFLOWS
from ...hw.program.bounds import BOUNDS
from ...hw.program.layout import Program
from ...hw.tools.store import Store
from ...model.fitting.options import AccumulatorFit
from ...model.fitting.search import fit_accumulator
from ...model.integers.partial_sums import seen_sums
from ...model.post_training.images import NetworkImages
from ...model.post_training.sources import is_trained_first, read
from ...model.training.recipe import Recipe
from ..runs.kept import check
from ..runs.loading import input_levels, load_images
from ..runs.pipeline import Trainer
from ..terminal.progress import Reporter
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main", "row"]

OUTPUT = output("fitting")
NAMES = ("network", "data", "bits", "bound", "overflow", "fine_tune")
CALIBRATION = 200
ARRAY = Geometry(2, 2, 4, slice=2)
TOOLS = ("narrowgauge", "numpy", "torch")


def row(
    network: nn.Module, name: str, images: NetworkImages, fit: AccumulatorFit, simulated: int
) -> Row:
    """Return what a fit gives, without its provenance; of what fits with no pair, why."""
    about: Row = {
        "network": name,
        "data": images.name,
        "bits": fit.bits,
        "bound": fit.bound,
        "overflow": fit.overflow,
        "validation": fit.validation,
        "calibration": CALIBRATION,
        "fine_tune": fit.fine_tune,
    }
    try:
        found = fit_accumulator(network, images, fit, name=f"{name}-{fit.bits}")
    except NetworkError as error:
        return {**about, "refused": str(error)}
    shares = found.quantised.shares
    assert shares is not None
    about |= {
        "accuracy_float": shares.exact,
        "accuracy": shares.integer,
        "images": shares.images,
        "validation_float": found.exact,
        "validation_fitted": found.fitted,
        "validation_searched": found.searched,
        "validation_fine_tuned": found.tuned,
        "is_fine_tuned": found.is_tuned,
        "uniform": None if found.uniform is None else list(found.uniform),
        "validation_uniform": found.uniform_share,
        "pairs": {each.layer: [each.activation, each.weight] for each in found.layers},
        "tried": found.tried,
        "grid": found.grid,
        "sum_bits": {
            layer: {kind: bound.needed(fit.overflow).bits for kind, bound in bounds.items()}
            for layer, bounds in found.bounds.items()
        },
    }
    return (
        about
        | _overflows(found.quantised.network, fit)
        | _simulated(found.quantised.network, simulated)
    )


def _overflows(network: Network, fit: AccumulatorFit) -> Row:
    """Count the sums that the register does not hold, on all test images."""
    levels = input_levels(network, load_images(network, network.name))
    seen = seen_sums(network, levels, fit.lanes)
    return {"overflows": sum(each.beyond for each in seen.values())}


def _simulated(network: Network, count: int) -> Row:
    """Run test images in hardware: their sums and levels are those of the reference, or not."""
    if not count or network.accumulator.overflow != "wrap":
        return {"simulated": None}
    data = load_images(network, network.name)
    accelerator = Accelerator(Program(network, ARRAY))
    result = check(accelerator, data, Store(), images=slice(count))
    return {
        "simulated": {
            "array": str(ARRAY),
            "images": result.images,
            "mismatches": result.mismatches,
            "cycles_per_image": result.cycles / result.images,
        }
    }


def _network(source: str, data: str, images: NetworkImages) -> nn.Module:
    """Return the float network: read, or trained by the kept recipe where it is a name."""
    if not is_trained_first(source):
        return read(source, images)
    with Reporter() as reporter:
        recipe = Recipe(dataset=data, network=source)
        return Trainer(recipe, Store(), reporter).trained_float().model


def main(arguments: Sequence[str]) -> int:
    """Fit at each width; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--bits", default="16,14,12", help="[default: 16,14,12]")
    options.add_argument("--bounds", default=",".join(BOUNDS), help="[default: all]")
    options.add_argument("--overflow", choices=OVERFLOWS, default="wrap")
    options.add_argument("--validation", type=int, default=1000, help="images [default: 1000]")
    options.add_argument("--fine-tune", type=int, default=0, help="epochs [default: 0]")
    options.add_argument("--simulate", type=int, default=0, help="test images [default: 0]")
    given = options.parse_args(arguments)
    images = NetworkImages.load(given.data, CALIBRATION + given.validation)
    network, kept = _network(given.model, given.data, images), RowFile(given.output, NAMES)
    asked = [
        *(f"--bits={given.bits}", f"--bounds={given.bounds}", f"--overflow={given.overflow}"),
        *(f"--validation={given.validation}", f"--fine-tune={given.fine_tune}"),
        f"--simulate={given.simulate}",
    ]
    own = {options.get_default(each) for each in vars(given)}
    words = [each for each in asked if each.partition("=")[2] not in set(map(str, own))]
    status = 0
    for bits in map(int, given.bits.split(",")):
        for bound in given.bounds.split(","):
            fit = AccumulatorFit(
                bits=bits,
                bound=bound,
                overflow=given.overflow,
                validation=given.validation,
                fine_tune=given.fine_tune,
            )
            found = row(network, Path(given.model).stem, images, fit, given.simulate)
            made = command("fitting", Path(given.model).name, given.data, *words)
            kept.keep([found | provenance(made, *TOOLS)])
            said = found.get("refused") or f"{100 * found['accuracy']:.2f} %"
            print(f"{found['network']}, {bits} bits, {bound}: {said}", flush=True)
            if (found.get("simulated") or {}).get("mismatches"):
                print("fitting: hardware differs from the reference", file=sys.stderr)
                status = 1
    return status
