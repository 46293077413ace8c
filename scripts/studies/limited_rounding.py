"""Accuracy of weights that are rounded for an accumulator, beside plain rounding; run by hand.

``studies limited_rounding MODEL DATA`` quantises a float network for accumulators of ``--bits``, as
``narrowgauge quantize --accumulator-bits`` does. At each width it takes that one of ``--formats``
which labels most of 2,000 training images right that are not calibrated on, and then the better of
channels as they are and equalised ones. Beside it stand the same formats rounded to the nearest
level, on the register that they need and on this one, which wraps. All test images are labelled;
``--simulate`` of them run in hardware. Rows are kept in ``docs/results/limited_rounding.json``.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import nn

from ...hw.accelerator.top import Accelerator
from ...hw.geometry import Geometry
from ...hw.network.layers import Weighted
from ...hw.network.network import Network
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Fixed, parse
from ...hw.program.layout import Program
from ...hw.tools.store import Store
from ...model.integers.partial_sums import seen_sums
from ...model.integers.reference import evaluate
from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import Quantised, quantize
from ..runs.kept import check
from ..runs.loading import input_levels, load_images
from .post_training import float_network, validation
from .record import Row, RowFile, command, output, parser, provenance

__all__ = ["main"]

OUTPUT = output("limited_rounding")
NAMES = ("network", "data", "bits")
FORMATS = "int8/uint8,int4/uint6,int4/uint4,int4/uint3,int4/uint2"
ARRAY = Geometry(2, 2, 4)
LANES = 4
TOOLS = ("narrowgauge", "numpy", "torch")


def _methods(formats: str, images: NetworkImages, bits: int) -> list[PostTraining]:
    """Return what is tried; images get no more bits than activations have."""
    found = []
    for pair in formats.split(","):
        weight, activation = pair.split("/")
        own, wanted = images.default, parse(activation)
        assert isinstance(own, Fixed)
        assert isinstance(wanted, Fixed)
        read = str(Fixed(min(own.width, wanted.width), signed=own.signed))
        found.append(
            PostTraining(weight=weight, activation=activation, input=read, accumulator_bits=bits)
        )
    return found


def _share(network: nn.Module, images: NetworkImages, method: PostTraining) -> float:
    found = quantize(network, images, method, figures=False).shares
    assert found is not None
    return found.integer


def _chosen(
    network: nn.Module, images: NetworkImages, methods: Sequence[PostTraining]
) -> tuple[PostTraining, list[Row]]:
    """Return the method that is best on training images, and what each of them reached."""
    held, shares = validation(images), {}
    for method in methods:
        shares[method] = _share(network, held, method)
        print(f"  {' '.join(method.words())}: {100 * shares[method]:.2f} %", flush=True)
    best = replace(max(shares, key=shares.__getitem__), equalize=True)
    shares[best] = _share(network, held, best)
    tried = [
        {
            "weight": method.weight,
            "activation": method.activation,
            "equalize": method.equalize,
            "accuracy": share,
        }
        for method, share in shares.items()
    ]
    return max(shares, key=shares.__getitem__), tried


def _limited(found: Quantised, simulated: int) -> Row:
    """Return what a network gives on the register that it is rounded for."""
    network, shares = found.network, found.shares
    assert shares is not None
    data = load_images(network, network.name)
    seen = seen_sums(network, input_levels(network, data), LANES, steps=True)
    row: Row = {
        "accuracy_float": shares.exact,
        "accuracy": shares.integer,
        "images": shares.images,
        "parameter_bits": network.parameter_bits,
        "zeros": _zeros(network),
        "overflows": sum(each.beyond for each in seen.values()),
        "simulated": None,
    }
    if simulated:
        accelerator = Accelerator(Program(network, ARRAY))
        result = check(accelerator, data, Store(), images=slice(simulated))
        row["simulated"] = {
            "array": str(ARRAY),
            "images": result.images,
            "mismatches": result.mismatches,
            "overflows": result.overflows,
        }
    return row


def _zeros(network: Network) -> float:
    """Return the share of the weights that are 0."""
    weights = [layer.weights for layer in network if isinstance(layer, Weighted)]
    return sum(int((each == 0).sum()) for each in weights) / sum(each.size for each in weights)


def _plain(found: Quantised, bits: int) -> Row:
    """Return what nearest levels give on the register that they need, and on this one."""
    network, shares = found.network, found.shares
    assert shares is not None
    narrow = network.with_accumulator(Accumulator(bits))
    data = load_images(network, network.name)
    levels = input_levels(network, data)
    labels = evaluate(narrow, levels, LANES).labels.numpy()
    seen = seen_sums(narrow, levels, LANES)
    return {
        "bits": network.accumulator.width,
        "accuracy": shares.integer,
        "accuracy_narrow": float((labels == data.test_labels).mean()),
        "overflows": sum(each.beyond for each in seen.values()),
    }


def main(arguments: Sequence[str]) -> int:
    """Quantise for each width; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--bits", default="16,14,12,10", help="[default: 16,14,12,10]")
    options.add_argument("--formats", default=FORMATS, help=f"[default: {FORMATS}]")
    options.add_argument("--calibration", type=int, default=300, help="images [default: 300]")
    options.add_argument("--simulate", type=int, default=0, help="test images [default: 0]")
    given = options.parse_args(arguments)
    images = NetworkImages.load(given.data, given.calibration)
    network = float_network(given.model, given.data, images, Store())
    name, kept, status = Path(given.model).stem, RowFile(given.output, NAMES), 0
    words = [
        f"--{each}={getattr(given, each)}"
        for each in ("bits", "formats", "calibration", "simulate")
        if getattr(given, each) != options.get_default(each)
    ]
    for bits in map(int, given.bits.split(",")):
        method, tried = _chosen(network, images, _methods(given.formats, images, bits))
        nearest = replace(method, accumulator_bits=None, equalize=False)
        title = f"{name}-{bits}"
        found, plain = (
            quantize(network, images, each, name=title, lanes=LANES, figures=False)
            for each in (method, nearest)
        )
        row: Row = {"network": name, "data": given.data, "bits": bits, "tried": tried}
        row |= {each: getattr(method, each) for each in ("weight", "activation", "equalize")}
        row |= {"calibration": given.calibration, "plain": _plain(plain, bits)}
        row |= _limited(found, given.simulate)
        made = command("limited_rounding", Path(given.model).name, given.data, *words)
        kept.keep([row | provenance(made, *TOOLS)])
        print(f"{name}, {bits} bits: {100 * row['accuracy']:.2f} %", flush=True)
        if row["overflows"] or (row["simulated"] or {}).get("mismatches"):
            print("limited_rounding: a sum overflowed, or hardware differs", file=sys.stderr)
            status = 1
    return status
