"""The tables of networks: what they reach, what was simulated, what other tools gave."""

from collections.abc import Sequence

from .base import RESULTS as FOLDER
from .base import Columns, Row, percent, read, rounded, speed, table, versions

RESULTS = FOLDER / "results.json"
TESTSETS = FOLDER / "testsets.json"
EXPORTED = FOLDER / "qonnx.json"
TRAINED = FOLDER / "brevitas.json"
POST_TRAINING = FOLDER / "post_training.json"
CHANNEL_WIDTHS = FOLDER / "channel_widths.json"
MIXED = FOLDER / "mixed_networks.json"
EXPLORED = FOLDER / "explored.json"
IMAGES = FOLDER / "values.json"
TFLITE = FOLDER / "tflite_models.json"
DEPTHWISE = FOLDER / "depthwise.json"
KEYWORDS = "float_kws"  # the network of the first table of what was quantised without training


def slots(row: Row) -> int:
    """Return the products that an array can make a cycle."""
    return row["rows"] * row["columns"] * row["lanes"]


COLUMNS: Columns = {
    "weights": lambda row: row["weight"],
    "activations": lambda row: row.get("activation"),
    "accumulator, bits": lambda row: row.get("accumulator_bits"),
    "accuracy": lambda row: percent(row.get("accuracy_hardware", row.get("accuracy_float"))),
    "images that differ": lambda row: row.get("mismatches"),
    "cycles an image": lambda row: rounded(row, "cycles_per_image"),
    "LUT": lambda row: row.get("lut"),
    "FF": lambda row: row.get("ff"),
    "block RAM": lambda row: row.get("bram"),
    "DSP": lambda row: row.get("dsp"),
    "Fmax, MHz": speed,
    "images/s": lambda row: rounded(row, "images_per_second"),
}
DEPTHWISE_COLUMNS: Columns = {
    "array": lambda row: f"{row['rows']}x{row['columns']}x{row['lanes']}",
    "chains": lambda row: row["chains"],
    "slots": slots,
    "channels of a group": lambda row: row["together"],
    "fetching": lambda row: f"{row['fetch']:,}",
    "computing": lambda row: f"{row['compute']:,}",
    "simulated": lambda row: f"{row['cycles']:,.0f}",
    "share": lambda row: percent(row["share"]),
    "ceiling": lambda row: percent(row["ceiling"]),
}
ZOO_COLUMNS: Columns = {
    "name": lambda row: f"`{row['name']}`",
    "data set": lambda row: row["dataset"],
    "network": lambda row: row["network"],
    "weights": lambda row: row["weights"],
    "activations": lambda row: row["activations"],
    "float": lambda row: percent(row["accuracy_float"]),
    "integers": lambda row: percent(row["accuracy_integer"]),
    "number of weights": lambda row: f"{row['parameters']:,}",
    "bits of weights": lambda row: f"{row['parameter_bits']:,}",
    "epochs": lambda row: row["epochs"],
    "trained for, s": lambda row: f"{row['seconds']:,.0f}",
    "trained on": lambda row: row["device"],
}
TESTSETS_COLUMNS: Columns = {
    "network": lambda row: f"`{row['network']}`",
    "images": lambda row: f"{row['images']:,}",
    "images that differ": lambda row: row["mismatches"],
    "accuracy": lambda row: percent(row["accuracy_hardware"]),
    "cycles an image": lambda row: rounded(row, "cycles_per_image"),
    "MAC slots used": lambda row: percent(row["utilisation"]),
    "best and worst layer with MACs": lambda row: _extremes(row["layers"]),
    "simulated for, s": lambda row: f"{row['seconds']:,.0f}",
}
EXPORTED_COLUMNS: Columns = {
    "network": lambda row: f"`{row['network']}`",
    "hidden layers": lambda row: ", ".join(sorted({*list(row["methods"].values())[:-1]})),
    "images": lambda row: f"{row['images']:,}",
    "same class": lambda row: f"{row['same_class']:,}",
    "same levels": lambda row: f"{row['same_levels']:,}",
    "executed for, s": lambda row: f"{row['seconds']:.1f}",
}
TRAINED_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "weights": lambda row: ", ".join(row["weights"]),
    "levels from": lambda row: ", ".join(row["methods"]),
    "sums, bits": lambda row: row["accumulator_bits"],
    "proven for, bits": lambda row: row.get("promised_bits"),
    "sums compared": lambda row: f"{row['sums_compared']:,}",
    "levels compared": lambda row: f"{row['elements']:,}",
    "ties": lambda row: row["ties"],
    "farthest tie": lambda row: f"{row['tie_distance']:.0e}" if row["ties"] else None,
    "images that differ in hardware": lambda row: row["hardware_mismatches"],
    "accuracy": lambda row: percent(row["accuracy"]),
}

POST_TRAINING_COLUMNS: Columns = {
    "weights": lambda row: row["weight"],
    "activations": lambda row: row["activation"],
    "rounding": lambda row: row["rounding"],
    "scales": lambda row: _scales(row),
    "weights, bits": lambda row: f"{row['parameter_bits']:,}",
    "sums, bits": lambda row: row["accumulator_bits"],
    "right": lambda row: percent(row["accuracy"]),
    "labelled as in float": lambda row: percent(row["same"]),
    "right of the others": lambda row: percent(row["accuracy_others"]),
    "images that differ in hardware": lambda row: row.get("simulated", {}).get("mismatches"),
    "LUT": lambda row: row.get("design", {}).get("lut"),
    "Fmax, MHz": lambda row: speed(row.get("design", {})),
}
UNTRAINED_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "weights": lambda row: row["weight"],
    "activations": lambda row: row["activation"],
    "trained at the format": lambda row: "yes" if row.get("trained") else "no",
    "rounding": lambda row: row.get("rounding"),
    "scales": lambda row: _scales(row) if "scales" in row else None,
    "float": lambda row: percent(row["accuracy_float"]),
    "integers": lambda row: percent(row["accuracy"]),
    "points lost": lambda row: f"{100 * (row['accuracy_float'] - row['accuracy']):.2f}",
    "images that differ in hardware": lambda row: row.get("simulated", {}).get("mismatches"),
}
IMAGES_COLUMNS: Columns = {
    "network": lambda row: row["network"],
    "images": lambda row: row["data"],
    "weights": lambda row: f"{row['parameters']:,} of {' and '.join(row['weights'])}",
    "to be beaten, dB": lambda row: "<br>".join(
        f"{name} {each:.2f}" for name, each in row["psnr_baselines"].items()
    ),
    "float, dB": lambda row: f"{row['psnr_float']:.2f}",
    "graph, dB": lambda row: f"{row['psnr_graph']:.2f}",
    "hardware, dB": lambda row: f"{row['psnr_hardware']:.2f}",
    "mean error": lambda row: f"{row['mean_error']:.1e}",
    "largest error": lambda row: f"{row['largest_error']:.1e}",
    "levels compared": lambda row: f"{row['levels_compared']:,}",
    "ties": lambda row: row["ties"],
    "sums compared in hardware": lambda row: f"{row['sums_compared']:,}",
    "images that differ": lambda row: row["mismatches"],
    "cycles an image": lambda row: rounded(row, "cycles_per_image"),
}
TFLITE_COLUMNS: Columns = {
    "model": lambda row: f"`{row['model']}`",
    "array": lambda row: "{rows}x{columns}x{lanes}, {chains} chain{s}".format(
        **row, s="s" if row["chains"] > 1 else ""
    ),
    "right": lambda row: f"{row['right']:,} of {row['images']:,}" if "right" in row else None,
    "codes compared": lambda row: f"{row['codes_compared']:,}",
    "codes that differ": lambda row: "some" if row["first_difference"] else "none",
    "inputs in hardware": lambda row: f"{row['simulated']:,}",
    "inputs that differ": lambda row: row["mismatches"],
    "cycles an image": lambda row: rounded(row, "cycles_per_image"),
    "device": lambda row: f"`{row['target']}`" + ("" if row["routed"] else ", mapped only"),
    "LUT": lambda row: f"{row['lut']:,}",
    "block RAM": lambda row: row["bram"],
    "DSP": lambda row: row["dsp"],
    "Fmax, MHz": speed,
}


def _scales(row: Row) -> str:
    """Say how the scales of weights were chosen."""
    equalised = ", equalised" if row["equalize"] else ""
    return f"{row['scales']}, {row['weight_range']}{equalised}"


def _extremes(layers: Sequence[Row]) -> str:
    """Name the layers that use the array best and worst."""
    layers = sorted((row for row in layers if row["macs"]), key=lambda row: row["utilisation"])
    ends = [layers[-1], layers[0]] if len(layers) > 1 else layers
    return ", ".join(f"{row['layer']} {100 * row['utilisation']:.0f} %" for row in ends)


def results() -> str:
    """Return table and caption of the default run."""
    rows = read(RESULTS)
    row = next(row for row in rows if row.get("routed"))
    caption = (
        "Data set {dataset}, {images} test images; array of {rows}x{columns} elements with {lanes} "
        f"lanes; {{target}}, median and range of {len(row['seeds'])} placements; ".format(**row)
        + f"{versions(row['tools'])}."
    )
    return f"{table(COLUMNS, rows)}\n\n{caption}\n"


def zoo() -> str:
    """Return the table of the zoo, and the commands that trained it."""
    from narrowgauge.model.zoo import networks as animals

    rows = []
    for network in map(animals.load, animals.names()):
        rows.append(
            animals.entry(network).plain()
            | {name: network.about[name] for name in ("epochs", "seconds", "device")}
            | {f"{name}s": animals.formats(network, name) for name in ("weight", "activation")}
        )
    commands = "\n".join(row["command"] for row in rows)
    return f"{table(ZOO_COLUMNS, rows, 5)}\n\n```sh\n{commands}\n```\n"


def testsets() -> str:
    """Return the table of the simulated test sets; none were before the first one was."""
    rows = read(TESTSETS) if TESTSETS.exists() else []
    if not rows:
        return "Nothing was simulated yet.\n"
    row = rows[0]
    caption = (
        "Array of {rows}x{columns} elements with {lanes} lanes and {chains} chains, {contexts} "
        "contexts; seconds of wall time on one core; ".format(**row)
        + f"{versions(row['versions'])}. Made by:"
    )
    commands = "\n".join(dict.fromkeys(row["command"] for row in rows))
    return f"{table(TESTSETS_COLUMNS, rows, 1)}\n\n{caption}\n\n```sh\n{commands}\n```\n"


def exported() -> str:
    """Return the table of exported networks that QONNX's executor ran."""
    rows = read(EXPORTED)
    caption = (
        "MNIST test images; levels are those of the last layer. "
        f"{versions(rows[0]['versions'])}. Made by "
        "`python -m narrowgauge.scripts.studies qonnx_export`."
    )
    return f"{table(EXPORTED_COLUMNS, rows)}\n\n{caption}\n"


def trained() -> str:
    """Return the table of Brevitas' networks."""
    rows = read(TRAINED)
    first = rows[0]
    caption = (
        f"Digits, {first['images']} test images each. {versions(first['versions'])}. Made by "
        f"`{first['command']}`."
    )
    return f"{table(TRAINED_COLUMNS, rows, 3)}\n\n{caption}\n"


def quantised() -> str:
    """Return the table of float networks that were quantised without training."""
    rows = [row for row in read(POST_TRAINING) if row["network"] == KEYWORDS]
    rows.sort(key=lambda row: -row["accuracy"])
    first = rows[0]
    routed = next((row["design"] for row in rows if "design" in row), None)
    array = f"Images ran in hardware on an array of {_array(rows)} elements and lanes. "
    if routed is not None:
        array += (
            f"LUTs and clock are of one element of 4 lanes on {routed['target']}, seed "
            f"{', '.join(map(str, routed['seeds']))}; {versions(routed['tools'])}. "
        )
    caption = (
        f"{first['network']}, {percent(first['accuracy_float'])} in float "
        f"({percent(first['accuracy_float_others'])} of the others). {array}"
        f"{versions(first['versions'])}. Made by:"
    )
    return f"{table(POST_TRAINING_COLUMNS, rows, 4)}\n\n{caption}\n\n{_commands(rows)}"


def untrained() -> str:
    """Return the table of trained float networks beside those of the zoo, trained at a format."""
    from narrowgauge.model.zoo import networks as animals

    rows = [row for row in read(POST_TRAINING) if row["network"] != KEYWORDS]
    shapes = {(row["data"], row["network"]) for row in rows}
    entries = [animals.entry(animals.load(name)) for name in animals.names()]
    trained = [
        {**entry.plain(), "accuracy": entry.accuracy_integer, "trained": True}
        for entry in entries
        if (entry.dataset, entry.network) in shapes
    ]
    both = sorted([*rows, *trained], key=lambda row: (row["network"], -row["accuracy"]))
    array = f"They ran in hardware on an array of {_array(rows)} elements and lanes."
    caption = f"All test images. {array} {versions(rows[0]['versions'])}. Made by:"
    return f"{table(UNTRAINED_COLUMNS, both, 6)}\n\n{caption}\n\n{_commands(rows)}"


def channel_widths() -> str:
    """Return the table of channels of two widths beside layers of one."""
    rows = read(CHANNEL_WIDTHS)
    columns: Columns = {
        "network": lambda row: row["network"],
        "weights": lambda row: row["weights"],
        "bits of a weight": lambda row: f"{row['bits']:.3g}",
        "bits of all weights": lambda row: f"{row['parameter_bits']:,}",
        "right": lambda row: percent(row["accuracy"]),
        "labelled as in float": lambda row: percent(row["same"]),
    }
    one = rows[0]
    caption = (
        f"{one['images']:,} training images; float {percent(one['accuracy_float'])}, activations "
        f"{one['activations']}. {versions(one['versions'])}. Made by `{one['command']}`."
    )
    return f"{table(columns, rows)}\n\n{caption}\n"


def explored() -> str:
    """Return what explorations built and predicted, and what that was compared with."""
    return "\n\n".join(map(_exploration, read(EXPLORED))) + "\n"


def _exploration(made: Row) -> str:
    columns: Columns = {
        "weights": lambda row: row["layer_weights"],
        "activations": lambda row: row["activation"],
        "array": lambda row: f"{row['rows']}x{row['columns']}x{row['lanes']}",
        "slice": lambda row: row["slice"],
        "right, validation": lambda row: percent(row["validation_accuracy"]),
        "right, test": lambda row: percent(row["accuracy_hardware"]),
        "images that differ": lambda row: row["mismatches"],
        "cycles, predicted": lambda row: f"{row['predicted_cycles']:,.0f}",
        "simulated": lambda row: f"{row['cycles_per_image']:,.0f}",
        "LUT, predicted": lambda row: row["predicted_lut"],
        "routed": lambda row: row["lut"],
        "MHz, predicted": lambda row: f"{row['predicted_fmax_mhz']:.1f}",
        "measured": lambda row: f"{row['fmax_mhz']:.1f}",
        "images/s, predicted": lambda row: rounded(row, "predicted_images"),
        "clocked": lambda row: rounded(row, "images_per_second"),
        "front, predicted": lambda row: "yes" if _leads(row, built, "predicted_images") else "",
        "as measured": lambda row: "yes" if _leads(row, built, "images_per_second") else "",
    }
    compared: Columns = {
        "compared with": lambda row: row["compared"],
        "weights": lambda row: row["layer_weights"],
        "activations": lambda row: row["activation"],
        "right, validation": lambda row: percent(row["validation_accuracy"]),
        "images/s, predicted": lambda row: rounded(row, "predicted_images"),
    }
    built = [row for row in made["rows"] if row["routed"]]
    others = [row for row in made["rows"] if not row["routed"]]
    minutes, seconds = divmod(made["seconds"], 60)
    caption = (
        f"{made['choices']} choices on {made['arrays']} arrays, {made['validated']} of them "
        f"validated, {len(built)} built, in {minutes} min {seconds} s from an empty store, on two "
        f"cores with other work. {built[0]['images']:,} test images, one placement. "
        f"{versions(built[0]['tools'])}. Made by `{made['command']}`."
    )
    return f"{table(columns, built)}\n\n{table(compared, others)}\n\n{caption}"


def _leads(row: Row, rows: Sequence[Row], figure: str) -> bool:
    """Tell whether no other row is as accurate in validation and faster, or the other way round."""

    def place(each: Row) -> tuple[float, float]:
        return each["validation_accuracy"], each[figure]

    own = place(row)
    return not any(
        other != own and other[0] >= own[0] and other[1] >= own[1] for other in map(place, rows)
    )


def mixed() -> str:
    """Return the tables of networks of several widths: what ran, and cycles by slices."""
    rows = read(MIXED)
    columns: Columns = {
        "widths of": lambda row: row["widths"],
        "slices, bits": lambda row: row["slice"] or "whole",
        "accumulator": lambda row: f"{row['accumulator_bits']} bits, {row['overflow']}",
        "images": lambda row: f"{row['images']:,}",
        "images that differ": lambda row: row["mismatches"],
        "right": lambda row: percent(row["accuracy_hardware"]),
        "cycles": lambda row: f"{row['cycles']:,}",
        "cycles by the model": lambda row: f"{row['cycles_by_model']:,}",
    }
    layers: Columns = {
        "widths of": lambda row: row["widths"],
        "layer": lambda row: row["layer"],
        "steps of a pass": lambda row: row["steps"],
        "passes": lambda row: ", ".join(f"{each:,}" for each in row["passes"]),
        "cycles an image": lambda row: ", ".join(f"{each:,.1f}" for each in row["cycles"]),
        "farthest from proportional": lambda row: percent(row["deviation"]),
    }
    one = rows[0]
    array = "{rows}x{columns} elements, {lanes} lanes, {chains} chains".format(**one)
    caption = (
        f"{array}; float {percent(one['accuracy_float_validation'])} of 2,000 training images. "
        f"{versions(one['versions'])}. Made by `{one['command']}`."
    )
    return f"{table(columns, rows, 3)}\n\n{table(layers, _proportional(rows))}\n\n{caption}\n"


def _proportional(rows: Sequence[Row]) -> list[Row]:
    """Return layers with their passes and cycles in arrays of slices, by bits of a slice.

    The deviation is between the cycles of a pass in two of them.
    """
    found = []
    for widths in dict.fromkeys(row["widths"] for row in rows):
        own = [row for row in rows if row["widths"] == widths and row["slice"]]
        sliced = {row["slice"]: row for row in reversed(own)}  # the first of each
        if len(sliced) < 2:
            continue
        for layers in zip(*(sliced[bits]["layers"] for bits in sorted(sliced)), strict=True):
            each = [layer["cycles"] / layer["passes"] for layer in layers]
            found.append(
                {
                    "widths": widths,
                    "layer": layers[0]["layer"],
                    "steps": layers[0]["steps"],
                    "passes": [layer["passes"] for layer in layers],
                    "cycles": [layer["cycles"] for layer in layers],
                    "deviation": max(each) / min(each) - 1,
                }
            )
    return found


def _array(rows: Sequence[Row]) -> str:
    """Return the array that images ran on."""
    return ", ".join(sorted({row["simulated"]["array"] for row in rows if "simulated" in row}))


def _commands(rows: Sequence[Row]) -> str:
    """Return the commands that made rows, once each."""
    routed = [row["design"]["command"] for row in rows if "command" in row.get("design", {})]
    lines = "\n".join([*sorted({row["command"] for row in rows}), *routed])
    return f"```sh\n{lines}\n```\n"


def depthwise() -> str:
    """Return the table of arrays, and how much of each a depthwise convolution uses."""
    rows = sorted(read(DEPTHWISE), key=lambda row: (slots(row), row["rows"]))
    commands = " and ".join(sorted({f"`{row['command']}`" for row in rows}))
    return f"{table(DEPTHWISE_COLUMNS, rows, 1)}\n\nMade by {commands}.\n"


def images() -> str:
    """Return the table of networks that give images."""
    rows = read(IMAGES)
    caption = (
        "{images} test images each, trained on {train:,}; array of {rows}x{columns} elements with "
        f"{{lanes}} lanes; {versions(rows[0]['versions'])}. Made by:".format(**rows[0])
    )
    commands = "\n".join(row["command"] for row in rows)
    return f"{table(IMAGES_COLUMNS, rows, 4)}\n\n{caption}\n\n```sh\n{commands}\n```\n"


def tflite() -> str:
    """Return the table of MLPerf Tiny's models as TFLite files."""
    rows = read(TFLITE)
    caption = (
        "Array of rows x columns x lanes that multiplies in DSP blocks, one image in a group; "
        f"{versions({**rows[0]['versions'], **rows[0]['tools']})}. Made by `{rows[0]['command']}`."
    )
    return f"{table(TFLITE_COLUMNS, rows)}\n\n{caption}\n"
