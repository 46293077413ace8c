"""How a layer lies on the array: lanes, padding and bit planes.

The reference and the accelerator both start from `map_layer`, so what happens to the odd lane or to
a multi-bit input of a bipolar network is decided here and nowhere else.

**Steps.** The array takes ``lanes`` weight and activation pairs a step; a dot product of ``inputs``
pairs takes ``steps = ceil(inputs / lanes)`` steps, in ascending order. Lanes beyond the input carry
code 0 as activation and, as weight, 0 or (where the weight format has no zero) +1.

**Bit planes.** A bipolar array reads an unsigned ``a``-bit input ``x`` as planes of single bits,
the most significant first, each plane a whole pass over the input; between passes the accumulator
doubles. With ``s_i = 2 * bit_i - 1``, ``x = (sum_i 2**i * s_i + 2**a - 1) / 2``, so the array ends
with ``2 * (w . x) - (2**a - 1) * sum(w)``; the constant joins the bias.
"""

from dataclasses import dataclass

import numpy as np

from .arithmetic import bits_for
from .errors import FormatError, NetworkError
from .network import Dense, Network
from .number import Bipolar, Fixed, Format, common

__all__ = ["MappedLayer", "Operands", "accumulator_bits", "map_layer", "map_network", "operands"]


@dataclass(frozen=True)
class Operands:
    """The formats that the array multiplies."""

    weight: Format
    activation: Format


def operands(network: Network) -> Operands:
    """Return the operand formats of the one array that runs all layers of ``network``.

    A network whose weights and hidden activations are bipolar runs on an XNOR array, which reads
    an unsigned input as bit planes; every other one on an array of the narrowest common formats.

    Raises
    ------
    NetworkError
        When no operand of 32 bits holds the levels of all layers.
    """
    weight = _common(network, "weights", [layer.weight for layer in network])
    hidden = {layer.input for layer in network.layers[1:]}
    has_planes = network.input == Bipolar() or network.input.min_level == 0
    if weight == Bipolar() and hidden <= {Bipolar()} and has_planes:
        return Operands(weight, Bipolar())
    activation = _common(network, "inputs", [layer.input for layer in network])
    # a multiplier has no one-bit mode: +-1 meets other weights as a two-bit integer
    return Operands(weight, Fixed(2) if activation == Bipolar() else activation)


def _common(network: Network, what: str, formats: list[Format]) -> Format:
    try:
        return common(formats)
    except FormatError as error:
        raise NetworkError(
            f"network {network.name}: no operand holds all its {what}, which are "
            f"{', '.join(sorted({str(fmt) for fmt in formats}))}"
        ) from error


@dataclass(frozen=True, eq=False)
class MappedLayer:
    """A layer as the array runs it.

    Attributes
    ----------
    layer : Dense
        The layer it came from.
    bitwise : bool
        The array is bipolar and the input is not: it is read as bit planes.
    planes : int
        Passes over the input: 1, or the bits of a bitwise input.
    steps : int
        Steps a pass.
    weights : int array of shape (outputs, steps * lanes)
        Weight levels, padded.
    bias, multiplier : int arrays of shape (outputs,)
        Requantisation of what the *array* accumulates: padding and planes are accounted for.
    shift : int
        Rounding shift that belongs to them.
    """

    layer: Dense
    bitwise: bool
    planes: int
    steps: int
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: int

    def accumulator_range(self, activation: Format) -> tuple[int, int]:
        """Return the lowest and the highest sum that any input can reach at any step."""
        if self.bitwise:
            reach = ((1 << self.planes) - 1) * int(abs(self.weights).sum(axis=1).max())
            return -reach, reach
        low, high = self.layer.input.min_level, self.layer.input.max_level
        low, high = min(low, activation.zero_level), max(high, activation.zero_level)
        # low <= 0 <= high: the extremes meet the positive and the negative weights apart. In Python
        # integers, because 32-bit weights and inputs leave no room in 64 bits.
        positive = self.weights.clip(min=0).sum(axis=1).tolist()
        negative = self.weights.clip(max=0).sum(axis=1).tolist()
        sums = list(zip(positive, negative, strict=True))
        return (
            min(plus * low + minus * high for plus, minus in sums),
            max(plus * high + minus * low for plus, minus in sums),
        )


def map_layer(layer: Dense, lanes: int, array: Operands) -> MappedLayer:
    """Lay ``layer`` on an array of ``lanes`` lanes with the operand formats ``array``."""
    bitwise = array.activation == Bipolar() and layer.input != Bipolar()
    planes = layer.input.width if bitwise else 1
    steps = -(-layer.inputs // lanes)
    padding = steps * lanes - layer.inputs
    pad_weight = 0 if array.weight.holds(0) else 1
    weights = np.pad(layer.weights, ((0, 0), (0, padding)), constant_values=pad_weight)
    if bitwise:
        gain, offset = 2, -((1 << planes) - 1) * weights.sum(axis=1)
    else:
        gain, offset = 1, padding * pad_weight * array.activation.zero_level
    return MappedLayer(
        layer=layer,
        bitwise=bitwise,
        planes=planes,
        steps=steps,
        weights=weights,
        bias=gain * layer.bias - offset * layer.multiplier,
        multiplier=layer.multiplier,
        shift=layer.shift + gain - 1,
    )


def map_network(network: Network, lanes: int) -> tuple[MappedLayer, ...]:
    """Lay every layer of ``network`` on the array that `operands` chooses."""
    array = operands(network)
    return tuple(map_layer(layer, lanes, array) for layer in network)


def accumulator_bits(network: Network, lanes: int) -> int:
    """Return the narrowest accumulator that no input can overflow, from the weights themselves.

    The exact interval of each channel over all inputs of its type, at every step (the kernel-aware
    bound of de Bruin et al. 2020, with the signs of the weights); at least 2.
    """
    array = operands(network)
    ranges = [layer.accumulator_range(array.activation) for layer in map_network(network, lanes)]
    return max(2, *(bits_for(low, high) for low, high in ranges))
