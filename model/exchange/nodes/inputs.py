"""The network's input: quantised by a node of the graph, or stated by whoever imports it."""

from fractions import Fraction

import numpy as np
from onnx import NodeProto

from ....hw.network.network import INPUT
from ...exact.quantizer import Quantizer
from ...exact.tensors import Levels
from ..graph.node import refuse
from ..preparation import Preparation
from .context import ImportContext, Raw
from .outputs import given, stored_format

__all__ = ["quantised_input", "stated_input"]


def quantised_input(
    context: ImportContext,
    node: NodeProto,
    tensor: Raw,
    quantizer: Quantizer,
    *,
    rounds: bool = True,
) -> Levels:
    """Let the host quantise the input; it was only stated to be levels unless the node rounds."""
    transfer = tensor.transfer
    if not transfer.is_affine or not quantizer.is_uniform or quantizer.divisor:
        refuse(node, "the input is prepared by more than scales, offsets and one quantiser")
    ends = [{*end.tolist()} for end in (transfer.low, transfer.high)]
    if any(len(end) > 1 for end in ends):
        refuse(node, "the input is clipped differently in its channels; not supported")
    limits = [None if abs(each) == float("inf") else float(each) for (each,) in ends]
    # images come as the graph reads them, whatever moved them since
    order = np.argsort(context.input_index, axis=None)
    found = Preparation(
        shape=context.input_index.shape[1:],
        size=tuple(tensor.size),
        order=None if (np.diff(order) == 1).all() else tuple(order.tolist()),
        gain=_compact(transfer.gain),
        offset=_compact(transfer.offset),
        limits=(limits[0], limits[1]),
        scale=float(quantizer.scale[0]),
        zero_point=float(quantizer.zero_point),
        low=quantizer.low,
        high=quantizer.high,
        zero=quantizer.zero,
        rounding=quantizer.rounding,
        is_bipolar=quantizer.is_bipolar,
        rounds=rounds,
    )
    if context.preparation not in (None, found):
        refuse(node, "the input has two different quantisers; only one is supported")
    context.preparation = found
    bottom, top = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    quantised = node.output[0] if rounds else context.model.graph.input[0].name
    fmt = stored_format(context, quantised, quantizer, bottom, top)
    return given(tensor, INPUT, fmt, (bottom, top), quantizer, np.zeros(len(transfer.gain), bool))


def _compact(values: np.ndarray) -> tuple[float, ...]:
    found = tuple(float(each) for each in values)
    return found[:1] if len({*found}) == 1 else found


def stated_input(context: ImportContext, node: NodeProto, tensor: Raw) -> Levels:
    """Return the input where nothing in the graph quantises it, as it was stated to be."""
    if context.stated_input is None:
        refuse(
            node,
            "reads the input, which nothing quantises; state its format and the value of level 1, "
            "for example --input-format uint8 --input-scale 0.00392156862745098",
        )
    (low, high), is_bipolar, scale = context.stated_input
    context.used_stated_input = True
    levels = np.full(1, Fraction(float(np.float32(scale))), object)
    none = Fraction(0)
    quantizer = Quantizer(levels, none, low, high, "ROUND", is_bipolar, levels, none)
    return quantised_input(context, node, tensor, quantizer, rounds=False)
