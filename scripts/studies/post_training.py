"""A float network at many weight formats without training; run by hand.

``studies post_training MODEL DATA`` quantises a float network as ``narrowgauge quantize`` does,
once for each format of ``--weights``, and keeps how many test images the integers label right in
``docs/results/post_training.json``. Images that the ranges come from are left out of the columns
``others``. A format that was measured already with this model is measured anew.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from ...model.post_training.images import NetworkImages
from ...model.post_training.method import PostTraining
from ...model.post_training.quantization import quantize
from ...model.post_training.sources import read
from .record import RowFile, command, output, parser, provenance

__all__ = ["WEIGHTS", "main"]

WEIGHTS = "int8,int6,int5,int4,pow2_5,e2m1,e3m2,e4m3"
OUTPUT = output("post_training")
NAMES = ("network", "weight", "activation", "rounding")
TOOLS = ("narrowgauge", "numpy", "torch")


def main(arguments: Sequence[str]) -> int:
    """Quantise at each format; return the exit status."""
    options = parser(__doc__, OUTPUT)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--weights", default=WEIGHTS, help=f"[default: {WEIGHTS}]")
    options.add_argument("--activation", default="uint8", help="[default: uint8]")
    options.add_argument("--rounding", default="nearest", help="[default: nearest]")
    options.add_argument("--calibration", type=int, default=200, help="images [default: 200]")
    given = options.parse_args(arguments)
    images = NetworkImages.load(given.data, given.calibration)
    name, file = Path(given.model).stem, RowFile(given.output, NAMES)
    chosen = [
        f"--{option}={value}"
        for option in ("weights", "activation", "rounding", "calibration")
        if (value := getattr(given, option)) != options.get_default(option)
    ]
    for weight in given.weights.split(","):
        started = time.perf_counter()
        method = PostTraining(weight=weight, activation=given.activation, rounding=given.rounding)
        found = quantize(read(given.model, images), images, method, figures=False)
        shares = found.shares
        if shares is None:
            print(f"{given.data} has no labels")
            return 1
        made_by = command("post_training", Path(given.model).name, given.data, *chosen)
        row = {
            "network": name,
            "data": given.data,
            "weight": weight,
            "activation": given.activation,
            "rounding": given.rounding,
            "calibration": given.calibration,
            "images": shares.images,
            "others": shares.others,
            "accuracy_float": shares.exact,
            "accuracy_float_others": shares.exact_others,
            "accuracy": shares.integer,
            "accuracy_others": shares.integer_others,
            "same": shares.same,
            "accumulator_bits": found.network.accumulator.width,
            "parameter_bits": found.network.parameter_bits,
            "seconds": round(time.perf_counter() - started, 1),
        }
        file.keep([row | provenance(made_by, *TOOLS)])
        print(f"{name} {weight} {given.activation}: {100 * shares.integer:.2f} %", flush=True)
    return 0
