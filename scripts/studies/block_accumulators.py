"""Networks on the 16-bit accumulators of a UP5K's DSP blocks, which wrap; run by hand.

``studies block_accumulators MODEL DATA`` puts a float network on an array of 4x4 elements, all in
blocks, by each of ``--methods``: ``nearest`` is int8 with uint8 at the nearest levels; ``rounded``
has int8 weights that are rounded for 16 bits (``quantize --accumulator-bits``), with that one of
``--activations`` which labels most of 2,000 training images right that are not calibrated on; and
``fitted`` the formats of ``fit-accumulator --bits 16``. A network of the zoo is ``trained``.

All test images run in the reference on exactly 16 bits, where sums that do not fit are counted;
``--images`` of them run through the accelerator cycle by cycle, and are compared sum by sum. With
``--seeds`` it is placed and routed, where its memories fit. Rows are kept in
``docs/results/block_accumulators.json``, each as soon as it is there. Exits with 1 where hardware
differs, or where a sum overflows that should not.
"""

import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from amaranth.hdl import UnusedElaboratable
from torch import nn

from ...hw.accelerator.top import Accelerator
from ...hw.errors import FitError
from ...hw.geometry import Geometry
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.program.bounds import accumulator_bits, layer_bounds
from ...hw.program.layout import Program
from ...hw.program.mapping import map_network
from ...hw.synth.build import accelerator_for, cost
from ...hw.synth.placement import memory_use
from ...hw.synth.targets import target
from ...hw.tools.store import Store
from ...model.data import Dataset
from ...model.fitting.options import AccumulatorFit
from ...model.fitting.search import fit_accumulator
from ...model.integers.partial_sums import seen_sums
from ...model.integers.reference import accuracy, evaluate
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import Quantised, quantize
from ...model.zoo import networks as zoo
from ..runs.kept import check
from ..runs.loading import input_levels, load_images
from .post_training import float_network, validation
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["BITS", "METHODS", "main", "row"]

OUTPUT = output("block_accumulators")
NAMES = ("network", "data", "width", "method")
METHODS = ("nearest", "rounded", "fitted")
ACTIVATIONS = "uint4,uint5,uint6,uint7,uint8"
TARGET, ARRAY, BITS = "up5k", Geometry(4, 4, 1), 16  # eight blocks, of two sums each
WEIGHT, WIDEST = "int8", "uint8"
CALIBRATION = 200
TOOLS = ("narrowgauge", "amaranth", "numpy", "torch", "yosys")


def _method(activation: str, images: NetworkImages, bits: int | None) -> PostTraining:
    """Return the rounding to int8; images get no more bits than activations have."""
    own, wanted = images.default, parse(activation)
    assert isinstance(own, Fixed)
    read = str(Fixed(min(own.width, wanted.width), signed=own.signed))
    return PostTraining(weight=WEIGHT, activation=activation, input=read, accumulator_bits=bits)


def _rounded(
    network: nn.Module, images: NetworkImages, activations: Sequence[str], name: str
) -> tuple[Quantised, Row]:
    """Return the network at the activation that is best on training images, and their shares."""
    methods = {each: _method(each, images, BITS) for each in activations}
    shares: dict[str, float] = {}
    if len(methods) > 1:
        held = validation(images)
        for each, method in methods.items():
            found = quantize(network, held, method, lanes=ARRAY.lanes, figures=False).shares
            assert found is not None
            shares[each] = found.integer
            print(f"  {each}: {100 * found.integer:.2f} % of training images", flush=True)
    best = max(methods, key=lambda each: shares.get(each, 0.0))  # the narrowest of equal ones
    found = quantize(network, images, methods[best], name=name, lanes=ARRAY.lanes, figures=False)
    return found, {"validation": shares}


def _quantised(
    network: nn.Module, images: NetworkImages, method: str, activations: Sequence[str], name: str
) -> tuple[Quantised, Row]:
    """Return the integers that a method gives, and how they were chosen."""
    if method == "rounded":
        return _rounded(network, images, activations, name)
    if method == "fitted":
        fit = AccumulatorFit(bits=BITS, lanes=ARRAY.lanes)
        more = NetworkImages.load(images.name, CALIBRATION + fit.validation)
        fitted = fit_accumulator(network, more, fit, name=name)
        return fitted.quantised, {"validation": {"float": fitted.exact, "fitted": fitted.fitted}}
    wide = _method(WIDEST, images, None)
    return quantize(network, images, wide, name=name, lanes=ARRAY.lanes, figures=False), {}


def row(network: Network, data: Dataset, images: int, seeds: int, store: Store) -> Row:
    """Return what a network does on the accumulators of the blocks, without its provenance.

    Raises
    ------
    GeometryError
        For formats that the blocks do not multiply.
    """
    narrow = network.with_accumulator(Accumulator(BITS))
    accelerator = accelerator_for(
        Program(narrow, ARRAY, contexts=1, batch=1), target(TARGET), multiplier="block"
    )
    levels = input_levels(network, data)
    needed = accumulator_bits(network, ARRAY.lanes)
    share = wide = _share(narrow, levels, data)
    if needed > BITS:
        wide = _share(network.with_accumulator(Accumulator(needed)), levels, data)
    seen = seen_sums(narrow, levels, ARRAY.lanes)
    return {
        "formats": _formats(network),
        "bits": BITS,
        "needed": needed,
        "sum_bits": _sum_bits(network),
        "images": len(levels),
        "accuracy": share,
        "accuracy_wide": wide,
        "overflows": sum(each.beyond for each in seen.values()),
        "simulated": _simulated(accelerator, data, images, store) if images else None,
        "built": _built(accelerator, range(1, seeds + 1), store) if seeds else None,
    }


def _formats(network: Network) -> dict[str, str]:
    """Return the formats of weights and of what they read, of each layer that has some."""
    rows = zoo.layer_rows(network)
    return {row["layer"]: f"{row['weight']}/{row['input']}" for row in rows if row["weights"]}


def _sum_bits(network: Network) -> dict[str, dict[str, int]]:
    """Return the bits that the sums of each layer take, by the bounds that need no images."""
    return {
        mapped.layer.name: {
            kind: bound.needed("wrap").bits for kind, bound in layer_bounds(mapped).items()
        }
        for mapped in map_network(network, ARRAY.lanes)
        if mapped.on_array
    }


def _share(network: Network, levels: np.ndarray, data: Dataset) -> float:
    """Return the share of the test images that the integers label right."""
    return accuracy(evaluate(network, levels, ARRAY.lanes), data.test_labels)


def _simulated(accelerator: Accelerator, data: Dataset, images: int, store: Store) -> Row:
    """Run test images through the accelerator: sums and levels are the reference's, or not."""
    result = check(accelerator, data, store, images=slice(images))
    return {
        "array": str(ARRAY),
        "images": result.images,
        "mismatches": result.mismatches,
        "first_difference": result.first or None,
        "cycles_per_image": result.cycles / result.images,
    }


def _built(accelerator: Accelerator, seeds: Sequence[int], store: Store) -> Row:
    """Place and route the accelerator; of one that does not fit, say why."""
    on = target(TARGET)
    uses = {each.name: f"{each.blocks} {each.kind}" for each in memory_use(accelerator.program, on)}
    try:
        found = cost(accelerator, on, store, seeds)
    except FitError as error:
        return {"target": TARGET, "refused": str(error), "memories": uses}
    return {"target": TARGET, **found.row(), "memories": uses}


def _found(given: Namespace, store: Store) -> Iterator[tuple[str, Network, Row]]:
    """Yield the methods, what each gives, and what is known of it already."""
    name = Path(given.model).stem
    if given.model in zoo.names():
        yield "trained", zoo.load(given.model), {}
        return
    images = NetworkImages.load(given.data, CALIBRATION)
    network = float_network(given.model, given.data, images, store, width=given.width)
    for method in given.methods.split(","):
        title = f"{name}-{given.width:g}-{method}"
        found, chosen = _quantised(network, images, method, given.activations.split(","), title)
        assert found.shares is not None
        yield method, found.network, {"accuracy_float": found.shares.exact, **chosen}


def _checked(options: ArgumentParser, given: Namespace) -> Namespace:
    """Refuse what makes no sense, in a line."""
    for method in given.methods.split(","):
        if method not in METHODS:
            options.error(f"--methods: there is no {method}; there are {', '.join(METHODS)}")
    for activation in given.activations.split(","):
        if not isinstance(parse(activation), Fixed):
            options.error(f"--activations: {activation} is no integer, such as uint6")
    if given.images < 0 or given.seeds < 0:
        options.error("--images and --seeds are 0 or more")
    if given.model in zoo.names():
        own = zoo.load(given.model).about["dataset"]
        if given.data != own:
            options.error(f"{given.model} is of the data set {own}, not {given.data}")
        for name in ("width", "methods", "activations"):
            if getattr(given, name) != options.get_default(name):
                options.error(f"--{name} is for float networks; {given.model} has its formats")
    return given


def _words(options: ArgumentParser, given: Namespace) -> Iterator[str]:
    """Yield the options that differ from their own."""
    for name, value in vars(given).items():
        if name not in ("model", "data", "output") and value != options.get_default(name):
            yield f"--{name}={value}"


def _is_broken(method: str, found: Mapping[str, object]) -> bool:
    """Tell whether hardware differs, or a sum overflows that should not."""
    simulated = found["simulated"]
    differs = isinstance(simulated, dict) and simulated["mismatches"]
    return bool(differs or (method in ("rounded", "fitted") and found["overflows"]))


def main(arguments: Sequence[str]) -> int:
    """Measure a network by each method; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--width", type=float, default=1.0, help="of the channels [default: 1]")
    options.add_argument("--methods", default=",".join(METHODS), help="[default: all]")
    options.add_argument("--activations", default=ACTIVATIONS, help=f"[default: {ACTIVATIONS}]")
    options.add_argument("--images", type=int, default=200, help="simulated [default: 200]")
    options.add_argument("--seeds", type=int, default=0, help="placements [default: 0]")
    given = _checked(options, options.parse_args(arguments))
    # what is kept already, or does not fit, is elaborated no more
    warnings.simplefilter("ignore", UnusedElaboratable)
    kept, store, status = RowFile(given.output, NAMES), Store(), 0
    made = command(
        *("block_accumulators", Path(given.model).name, Path(given.data).name),
        *_words(options, given),
    )
    for method, network, known in _found(given, store):
        data = load_images(network, network.name)
        about = {"network": Path(given.model).stem, "data": Path(given.data).name}
        about |= {"width": given.width, "method": method, **known}
        found = about | row(network, data, given.images, given.seeds, store)
        kept.keep([found | provenance(made, *TOOLS)])
        print(
            f"{about['network']}, {method}: {found['needed']} bits needed, "
            f"{100 * found['accuracy']:.2f} % on {BITS}",
            flush=True,
        )
        if _is_broken(method, found):
            print("block_accumulators: hardware differs, or a sum overflowed", file=sys.stderr)
            status = 1
    return status
