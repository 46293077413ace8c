"""An imported network and its graph in exact arithmetic, quantiser by quantiser."""

from fractions import Fraction

import numpy as np

from narrowgauge.hw.network.network import INPUT
from narrowgauge.hw.network.window import Size
from narrowgauge.model.exchange.nodes.placing import index_of, roles_of
from narrowgauge.model.exchange.preparation import Preparation
from narrowgauge.model.integers.reference import evaluate

from .oracle import Oracle, constants_of, fractions

NEAR = 1e-9  # to a border, of what was computed in floats
FLOAT32 = 1e-5  # of the input's quantiser, which runs in float32


def compare(drawn, imported, lanes=4):
    """Compare a drawn graph with its import; return texts of all differences.

    The oracle goes on from the reference's input levels, so that one float32 tie there is not seen
    as a difference everywhere. Nothing else is taken from the import but the places of levels.
    """
    network = imported.network
    preparation = Preparation.from_about(network.about)
    assert preparation is not None
    levels = preparation.levels(drawn.images)
    result = evaluate(network, levels, lanes, trace=True)
    tensors = {INPUT: levels} | {
        trace.name: trace.levels.numpy().reshape(-1, *network.sizes[trace.name])
        for trace in result.layers
    }
    found = []
    constants = constants_of(drawn.model)
    for number, image in enumerate(drawn.images):
        given = {
            each.tensor: values_of(each.levels, tensors[each.levels.source][number])
            for each in imported.watched
        }
        oracle = Oracle(constants)
        if "input_scale" in drawn.options:
            scale = np.float32(drawn.options["input_scale"])
            image = fractions(np.rint(image / scale)) * fractions(scale)
        try:
            _check(drawn, imported, oracle, image, given)
        except _Difference as error:
            found.append(f"image {number}: {error}")
            continue
        except _Doubt:
            continue
        exact = oracle.get(drawn.logits).ravel()
        if not drawn.quantised_end:
            text = _logits(imported, exact, result, number)
            found += [f"image {number}: {text}"] if text else []
        label = int(result.labels[number])
        if not imported.report[-1].logit_error and exact[label] != max(exact):
            found.append(f"image {number}: label {label} of {exact.astype(float).tolist()}")
    return found


class _Difference(Exception):
    pass


class _Doubt(Exception):
    """A float is as near to a border as its rounding; the image says nothing from there on."""


def values_of(levels, array):
    """The exact values of a reference's levels, in the order of the graph."""
    scaled = (array.astype(object) + levels.offset) * levels.scale
    if not any(levels.padding):
        return scaled.reshape(-1)[levels.index]
    top, left, bottom, right = levels.padding
    height, width, channels = levels.size
    padded = np.empty((height + top + bottom, width + left + right, channels), object)
    padded[:] = levels.pad_value
    padded[top : top + height, left : left + width] = scaled
    roles = roles_of(levels)
    assert roles is not None
    return padded.reshape(-1)[index_of(Size(*padded.shape), roles)]


def _check(drawn, imported, oracle, image, given):
    inputs = {each.tensor for each in imported.watched if each.levels.source == INPUT}

    def after(node):
        name = node.output[0]
        if name not in given or name not in oracle.values:
            return
        own, other = oracle.values[name], given[name]
        if own.shape != other.shape:
            raise _Difference(f"{name} has shape {own.shape}, not {other.shape}")
        for place in np.argwhere(own != other):
            ratio = oracle.ratios.get(name)
            at = None if ratio is None else ratio[tuple(place)]
            if name in inputs and at is not None:
                doubtful = _distance(at) <= FLOAT32 * (abs(at) + 1)
            else:
                doubtful = isinstance(at, float) and _distance(at) <= NEAR * (abs(at) + 1)
            if not doubtful:
                raise _Difference(
                    f"{name} {place.tolist()}: {own[tuple(place)]} by definition, "
                    f"{other[tuple(place)]} in the reference, of {at}"
                )
            if name not in inputs:
                raise _Doubt
        if name in inputs:
            oracle.values[name] = other

    oracle.run(drawn.model.graph, image[None], after)


def _distance(ratio):
    """From the nearest border of any rounding: integers and halves."""
    return abs(2 * ratio - round(2 * ratio)) / 2


def _logits(imported, exact, result, number):
    """Compare logits, which are the reference's levels but for one factor and a known error."""
    network, report = imported.network, imported.report[-1]
    size = network.sizes[network.layers[-1].name]
    flat = result.levels[number].numpy().reshape(size)
    levels = np.moveaxis(flat, 2, 0).reshape(-1).astype(object)
    exact = exact.reshape(-1)
    if exact.size != levels.size:
        return f"{exact.size} logits, not {levels.size}"
    text = _proportional(exact, levels, network.layers[-1], report)
    if text and len({*network.layers[-1].multiplier.tolist()}) == 1 and levels.size > 1:
        # logits of one scale may lack a constant, the same for all
        exact, levels = exact - exact[0], levels - levels[0]
        text = _proportional(exact, levels, network.layers[-1], report)
    return text


def _proportional(exact, levels, layer, report):
    """Compare values with levels that are the same but for one factor and a known error."""
    anchor = int(np.argmax(abs(levels)))
    if not levels[anchor]:
        unit = Fraction(0)
    else:
        unit = exact[anchor] / int(levels[anchor])
    if unit < 0:
        return "logits of another sign"
    if not unit:
        return "" if report.logit_error or not any(exact) else "logits that are not zero"
    error = Fraction(report.logit_error) * 3 + (Fraction(1, 10**12) if report.logit_error else 0)
    bound = error * _largest(layer) * unit
    for own, level in zip(exact, levels, strict=True):
        if abs(own - int(level) * unit) > bound:
            return f"logit {float(own)} by definition, {float(level * unit)} in the reference"
    return ""


def _largest(layer):
    return 1 << layer.output.width
