"""Maps layers to the array: patches, steps, bit planes, and the weights of every step.

The reference and the accelerator both start from `map_network`, so what happens to the odd lane, to
padding or to a multi-bit input of a bipolar network is decided here and nowhere else.

**Steps.** The array takes ``lanes`` weight and activation pairs a step, in the order of the
`patch`. Lanes without a code, and codes outside the image, carry the layer's ``pad`` level; the
weights of lanes without a code are 0, or +1 where the weight format has no zero.

**Bit planes.** A bipolar array reads an unsigned ``a``-bit input ``x`` as planes of single bits,
the most significant first, each plane a whole pass over the patch; between passes the accumulator
doubles. With ``s_i = 2 * bit_i - 1``, ``x = (sum_i 2**i * s_i + 2**a - 1) / 2``, so the array ends
with ``2 * (w . x) - (2**a - 1) * sum(w)``; the constant joins the bias.

**Average pools and sums** are products too: a word holds ``lanes`` channels of one pixel, and the
weight that picks a channel is the summand at its lane and 0 at the others. Weights without a zero
read everything twice, the second time with the signs of the other lanes flipped, which cancels
them.

**Floats** have no planes and no second pass, and what picks a channel is the weight 1: their sums
are those of the words as they come.
"""

from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict

import numpy as np

from ..errors import FormatError, NetworkError
from ..geometry import Geometry
from ..network.layers import Add, Layer, MaxPool, Move, Requantised, Weighted
from ..network.network import INPUT, Network
from ..numbers.formats import Bipolar, Fixed, Float, Format
from ..numbers.mode import Mode
from ..numbers.operands import Operands, common, narrowest, widest
from .patch import Patch, patch_of

FAR = 1 << 54  # beyond every sum that the reference takes, with room for a gain in 64 bits

__all__ = ["MappedLayer", "map_network", "map_weighted", "operands"]


def operands(network: Network, *, sliced: bool = False) -> Operands:
    """Return the operand formats of the one array that runs all layers of ``network``.

    A network whose weights and hidden activations are bipolar runs on an XNOR array, which reads
    an unsigned input as bit planes; every other one on an array of the narrowest common formats.
    A ``sliced`` array multiplies integers of any width, slice by slice: these are the narrowest
    that hold all weights, those of pools and sums too, as whole ones.

    Raises
    ------
    NetworkError
        When no operand of 32 bits holds the levels of all layers; for floats of several formats;
        for weights without slices.
    """
    weights = [layer.weight for layer in network if isinstance(layer, Weighted)]
    if network.is_float:
        return _float_operands(network, weights, sliced)
    if sliced:
        _check_slices(network)
        picking = [narrowest(0, max(_summands(each))) for each in network if _picks(each)]
        whole = [Fixed(2) if each == Bipolar() else each for each in weights]
        weight = _common(network, "weights", [*whole, *picking] or [Fixed(2)])
        activation = _common(network, "inputs", [each for x in network for each in x.inputs])
        return widest([Operands(weight, activation)])
    weight = _common(network, "weights", weights or [Fixed(2)])
    if weight == Bipolar() and _is_bitwise(network):
        return Operands(weight, Bipolar())
    formats = [each for layer in network for each in layer.inputs]
    activation = _common(network, "inputs", formats)
    return widest([Operands(weight, activation)])


def _float_operands(network: Network, weights: list[Format], sliced: bool) -> Operands:
    """Return the operand formats of a network of floats; with no weights, what picks is a float."""
    if sliced:
        raise NetworkError(
            f"network {network.name} is of floats, and slices are of integers: leave out the slice"
        )
    weight = _common(network, "weights", weights or [network.input])
    for layer in network:
        if _picks(layer) and not weight.holds(0):
            raise NetworkError(
                f"layer {layer.name}: {weight} weights have no 0 to pick channels of floats with; "
                "take other weights, or neither average pools nor sums"
            )
    return Operands(weight, network.input)


def _is_bitwise(network: Network) -> bool:
    """Tell whether all that is read are bits, of an unsigned input those of its planes."""
    first = [layer for layer in network if INPUT in network.sources(layer)]
    hidden = {layer.output for layer in network.layers[:-1]}
    # only products can be taken plane by plane
    has_planes = network.input == Bipolar() or (
        network.input.min_level == 0 and all(isinstance(layer, Weighted) for layer in first)
    )
    return hidden <= {Bipolar()} and has_planes


def _check_slices(network: Network) -> None:
    """Raise `NetworkError` where a layer has weights that are no slices of integers."""
    for layer in network:
        if isinstance(layer, Weighted) and not isinstance(layer.weight, (Fixed, Bipolar)):
            raise NetworkError(
                f"layer {layer.name}: {layer.weight} weights have no slices; slices are of bipolar "
                "and integer weights: train it with these, or leave out the slice"
            )


def _picks(layer: Layer) -> bool:
    """Tell whether a layer has weights that pick channels: an average pool, or a sum."""
    return isinstance(layer, Requantised) and not isinstance(layer, Weighted)


def _summands(layer: Layer) -> tuple[int, ...]:
    """Return the weights that pick channels."""
    return layer.summands if isinstance(layer, Add) else (1,)


def _own_operands(layer: Layer, array: Operands, sliced: bool = False) -> Operands:
    """Return the formats in which a layer of an array is stored and multiplied.

    They are the layer's; but in an array of integers bipolar numbers are integers of two bits,
    which have the 0 that lanes without a code carry. What picks channels has the array's weights,
    or, in slices, the narrowest.
    """
    weight = layer.weight if isinstance(layer, Weighted) else array.weight
    if sliced and _picks(layer):
        weight = narrowest(0, max(_summands(layer)))
    if array.activation == Bipolar():
        return Operands(weight, Bipolar())
    activation = common(layer.inputs)
    if weight == Bipolar() != array.weight:
        weight = Fixed(2)
    return Operands(weight, Fixed(2) if activation == Bipolar() else activation)


def _common(network: Network, what: str, formats: list[Format]) -> Format:
    try:
        return common(formats)
    except FormatError as error:
        raise NetworkError(
            f"network {network.name}: no operand holds all its {what}, which are "
            f"{', '.join(sorted({str(fmt) for fmt in formats}))}"
        ) from error


class _Scaling(TypedDict):
    """The requantisation of what the array accumulates, as `MappedLayer` has it."""

    bias: np.ndarray
    multiplier: np.ndarray
    shift: int
    rounding: NotRequired[str]
    thresholds: NotRequired[np.ndarray]


@dataclass(frozen=True, eq=False)
class MappedLayer:
    """A layer as the array runs it; max pools and moves have no weights and do not run on it.

    Attributes
    ----------
    layer : Layer
        The layer it came from.
    patch : Patch
        What a position reads.
    operands : Operands or None
        Formats in which its weights and activations are stored and multiplied; the array reads
        the widest of all layers'. None where it does not run on the array.
    pad : int
        Level of codes outside the image and of lanes without a code.
    planes : int
        Passes over the patch.
    bitwise : bool
        The passes are bit planes: they have the same weights, and the accumulator doubles between
        them. Otherwise every pass has weights of its own.
    steps : int
        Words of a pass.
    shift_words : int
        Words from where one position of a strip begins to the next.
    weights : int64 array of shape (channels, passes with own weights * steps * lanes)
        Weight levels. Output channel ``c`` has row ``c``, or ``c % lanes`` where rows are `shared`.
    bias, multiplier : int64 arrays of shape (channels,), and shift : int
        Requantisation of what the *array* accumulates: padding and planes are accounted for.
    rounding : str, and thresholds : int64 array of shape (channels, levels less one) or None
        The same; a shift that only takes back a gain never meets a half.
    channels : int
        Output channels, of which each group of the patch gives `group_channels`.
    levels : tuple of pairs of int
        The lowest and the highest level of each tensor that it reads, after the clamp of what gives
        it; empty where the ends are those of its format.
    """

    layer: Layer
    patch: Patch
    operands: Operands | None
    pad: int
    planes: int
    bitwise: bool
    steps: int
    weights: np.ndarray
    bias: np.ndarray
    multiplier: np.ndarray
    shift: int
    channels: int
    rounding: str = "half_up"
    thresholds: np.ndarray | None = None
    shift_words: int = 0
    levels: tuple[tuple[int, int], ...] = ()

    @property
    def on_array(self) -> bool:
        """Whether the array runs it; the unit of max pools runs those and moves."""
        return not isinstance(self.layer, (MaxPool, Move))

    @property
    def shared(self) -> bool:
        """Whether all groups have the same weights and parameters."""
        return self.patch.separate

    @property
    def group_channels(self) -> int:
        """Output channels of a group; the last group of a pool or a sum may have fewer."""
        return self.patch.length if self.shared else self.channels // self.patch.groups

    @property
    def last_group_channels(self) -> int:
        """Output channels of the last group."""
        return self.channels - (self.patch.groups - 1) * self.group_channels

    @property
    def words(self) -> int:
        """Words that a position, or a strip, and group read, in all passes."""
        return self.planes * self.steps + (self.patch.shifts - 1) * self.shift_words

    @property
    def mode(self) -> Mode:
        """The requantisation of a layer that runs on the array; equal ones share their gates."""
        layer = self.layer
        assert isinstance(layer, Requantised)
        output, (low, high) = layer.output, layer.clamp
        return Mode(
            output,
            self.shift,
            None if low == output.min_level else low,
            None if high == output.max_level else high,
            self.rounding,
            self.thresholds is not None,
        )

    def slices(self, geometry: Geometry) -> tuple[int, ...]:
        """Return how many slices the weights of each tile of a group have; 1 where they are whole.

        Tiles of several groups are alike: they have those of the widest channel at their place.
        """
        if self.operands is None:
            return ()
        columns, bits = geometry.columns, geometry.slice
        tiles = -(-self.group_channels // columns)
        own = self.layer.widths if isinstance(self.layer, Weighted) else None
        if bits is None or own is None:
            return (1 if bits is None else -(-self.operands.weight.width // bits),) * tiles
        widest = np.reshape(own, (-1, self.group_channels)).max(axis=0)
        widest = np.pad(widest, (0, -len(widest) % columns)).reshape(tiles, columns).max(axis=1)
        return tuple((-(-widest // bits)).tolist())

    @property
    def weight_codes(self) -> np.ndarray:
        """Codes of the weights in the layer's own format, of the shape of ``weights``."""
        assert self.operands is not None
        return self.operands.weight.to_code(self.weights)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The lowest and the highest level of each tensor that it reads."""
        formats = tuple((each.min_level, each.max_level) for each in self.layer.inputs)
        return self.levels or formats

    @property
    def has_pad_level(self) -> bool:
        """Whether all tensors that it reads can have the level of what is outside the image."""
        return all(low <= self.pad <= high for low, high in self.ranges)


def map_network(network: Network, lanes: int, *, sliced: bool = False) -> tuple[MappedLayer, ...]:
    """Lay every layer of ``network`` on the array that `operands` chooses."""
    array, levels = operands(network, sliced=sliced), _level_ranges(network)
    return tuple(
        replace(
            _map_layer(network, layer, lanes, array, sliced),
            levels=tuple(levels[source] for source in network.sources(layer)),
        )
        for layer in network
    )


def _level_ranges(network: Network) -> dict[str, tuple[int, int]]:
    """Return the lowest and the highest level of every tensor: its format's, or its clamp's."""
    found = {INPUT: (network.input.min_level, network.input.max_level)}
    for layer in network:
        if not isinstance(layer, Requantised):  # it gives what it reads
            found[layer.name] = found[network.sources(layer)[0]]
        elif layer.thresholds is not None:
            low = layer.output.min_level
            found[layer.name] = low, low + layer.thresholds.shape[1]
        else:
            found[layer.name] = layer.clamp
    return found


def _map_layer(
    network: Network, layer: Layer, lanes: int, array: Operands, sliced: bool
) -> MappedLayer:
    size = network.sizes[network.sources(layer)[0]]
    channels = network.sizes[layer.name].channels
    if isinstance(layer, Weighted):
        return map_weighted(layer, patch_of(layer, size, lanes), lanes, array)
    if isinstance(layer, Requantised):
        return _map_selecting(layer, size, lanes, array, channels, sliced)
    patch, empty = patch_of(layer, size, lanes), np.zeros((0,), np.int64)
    if isinstance(layer, Move):
        channels = layer.length  # what is written of a position
    return MappedLayer(
        layer=layer,
        patch=patch,
        operands=None,
        pad=layer.input.min_level,
        planes=1,
        bitwise=False,
        steps=patch.steps(lanes),
        weights=empty.reshape(0, 0),
        bias=empty,
        multiplier=empty,
        shift=0,
        channels=channels,
    )


def map_weighted(layer: Weighted, patch: Patch, lanes: int, array: Operands) -> MappedLayer:
    """Map a layer with weights: they follow the order of the patch."""
    bitwise = array.activation == Bipolar() and layer.input != Bipolar()
    planes = layer.input.width if bitwise else 1
    steps = patch.steps(lanes)
    padding = steps * lanes - patch.codes
    pad = layer.input.zero_level
    pad_weight = 0 if array.weight.holds(0) else 1
    flat = layer.weights.reshape(layer.channels, -1)
    weights = flat  # without a copy, where it is whole words: networks have many millions
    if padding:
        weights = np.hstack([flat, np.full((layer.channels, padding), pad_weight, flat.dtype)])
    if bitwise:
        doublings, offset = 1, -((1 << planes) - 1) * weights.sum(axis=1)
    else:
        doublings, offset = 0, padding * pad_weight * pad
    return MappedLayer(
        layer=layer,
        patch=patch,
        operands=_own_operands(layer, array),
        pad=pad,
        planes=planes,
        bitwise=bitwise,
        steps=steps,
        weights=weights,
        channels=layer.channels,
        **_scaling(layer, doublings, offset),
    )


def _scaling(layer: Requantised, doublings: int, offset: np.ndarray | int = 0) -> _Scaling:
    """Return the requantisation of sums that are doubled, so often, and then moved by ``offset``.

    The array's sum is ``(acc << doublings) + offset``; thresholds move with it.
    """
    if layer.thresholds is not None:
        thresholds = layer.thresholds.clip(-FAR, FAR) << doublings
        return {
            "bias": layer.bias,
            "multiplier": layer.multiplier,
            "shift": 0,
            "thresholds": thresholds + np.reshape(offset, (-1, 1)),
        }
    return {
        "bias": (layer.bias << doublings) - offset * layer.multiplier,
        "multiplier": layer.multiplier,
        "shift": layer.shift + doublings,
        "rounding": layer.rounding if layer.shift else "half_up",
    }


def _map_selecting(
    layer: Requantised, size, lanes: int, array: Operands, channels: int, sliced: bool
) -> MappedLayer:
    """Map an average pool or a sum: weights that pick one channel of a word."""
    summands = _summands(layer)
    if array.weight.max_level < 1:
        raise NetworkError(f"layer {layer.name}: {array.weight} weights cannot pick a channel")
    if isinstance(array.weight, Float):
        taps, doubling = [[array.weight.one] for _ in summands], 0
    else:
        taps, doubling = _taps(summands, array.weight)
    patch = patch_of(layer, size, lanes, repeats=len(taps[0]))
    if not isinstance(layer, Add):
        taps = [taps[0] * patch.window.taps]
    picked = np.array([level for each in taps for level in each], np.int64)
    rows = patch.length
    own = np.arange(rows)[:, None, None] == np.arange(lanes)[None, None, :]
    if array.weight.holds(0):
        passes, weights = 1, own * picked[None, :, None]
    else:
        both = np.broadcast_to(picked[None, :, None], (rows, len(picked), lanes))
        passes, weights = 2, np.concatenate([both, np.where(own, both, -both)], axis=1)
        doubling += 1
    scaling = _scaling(layer, doubling)
    for name in ("bias", "multiplier"):
        scaling[name] = np.repeat(scaling[name], rows, axis=0)  # a row a lane
    if "thresholds" in scaling:
        scaling["thresholds"] = np.repeat(scaling["thresholds"], rows, axis=0)
    return MappedLayer(
        layer=layer,
        patch=patch,
        operands=_own_operands(layer, array, sliced),
        pad=layer.input.zero_level,
        planes=passes,
        bitwise=False,
        steps=patch.steps(lanes),
        weights=weights.reshape(rows, -1),
        channels=channels,
        **scaling,
    )


def _taps(summands: tuple[int, ...], fmt: Format) -> tuple[list[list[int]], int]:
    """Write summands as equally many weight levels; also return how often they were doubled.

    Levels that are only odd (+-1) cannot make an even and an odd sum of the same length, so both
    are doubled then.
    """
    doubling = int(not fmt.holds(0) and len({each % 2 for each in summands}) > 1)
    taps = []
    for summand in summands:
        rest, levels = summand << doubling, []
        while rest:
            levels.append(max(n for n in range(1, min(rest, fmt.max_level) + 1) if fmt.holds(n)))
            rest -= levels[-1]
        taps.append(levels)
    length = max(map(len, taps))
    for levels in taps:
        while len(levels) < length:
            levels += [0] if fmt.holds(0) else [1, -1]
    return taps, doubling
