"""What a program moves between an accelerator and a memory outside it: arithmetic, not gates.

The accelerator has no port to such a memory. These are the bits that one would carry an image, with
batches of one image, and what is assumed is this:

- All memory blocks of the device can be used. Row buffers, parameters and outputs have what they
  take in the program; the rest is *room*.
- A layer's weights come once an image, in the words of the weight memory. One half of their buffer
  is computed from while the other one fills. What one half cannot hold comes in parts, tiles of
  output channels each, and every part reads the layer's input again.
- Feature maps stay in the room where they leave enough of it to move fewer bits. Otherwise each
  layer reads its inputs from outside, once a part, and writes its output there; a window that
  overlaps its neighbours has as many rows as it is high in the room.
- Transfers take no time but their bits over the bandwidth, and hide behind computing as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ...hw.network.layers import Conv2d, MaxPool
from ...hw.network.network import INPUT
from ...hw.program.layout import Program
from ...hw.program.records import Record

__all__ = ["LayerTraffic", "Traffic", "traffic"]


@dataclass(frozen=True)
class LayerTraffic:
    """What a layer moves, in bits, and how long it is at work.

    Attributes
    ----------
    weights, maps : int
        Bits from and to the outside.
    parts : int
        In so many its weights come.
    cycles : int
        The longer one of fetching its input, once a part, and computing.
    """

    weights: int
    maps: int
    parts: int
    cycles: int

    @property
    def bits(self) -> int:
        """All that it moves."""
        return self.weights + self.maps


@dataclass(frozen=True)
class Traffic:
    """What an image moves.

    Attributes
    ----------
    layers : tuple of LayerTraffic
        In the order of the program.
    inside : bool
        Feature maps stay inside.
    more : int
        Cycles that parts add.
    """

    layers: tuple[LayerTraffic, ...]
    inside: bool
    more: int

    @property
    def weights(self) -> int:
        """Bits of weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def maps(self) -> int:
        """Bits of feature maps, the image among them."""
        return sum(layer.maps for layer in self.layers)

    def rate(self, cycles: float, clock: float, bandwidth: float) -> float:
        """Return images a second: the lower one of computing and moving.

        Parameters
        ----------
        cycles : float
            An image, without those that parts add.
        clock : float
            In Hz.
        bandwidth : float
            In bytes a second.
        """
        moving = 8 * bandwidth / (self.weights + self.maps)
        return min(clock / (cycles + self.more), moving)

    def unhidden(self, cycles: float, clock: float, bandwidth: float) -> float:
        """Return the same where transfers hide only behind the layer that they are of."""
        waits = cycles + self.more - sum(one.cycles for one in self.layers)
        each = (max(one.cycles / clock, one.bits / 8 / bandwidth) for one in self.layers)
        return 1 / (waits / clock + sum(each))


def traffic(program: Program, memory: int) -> Traffic | None:
    """Return what an image moves with so many bits of memory, at best; None where that is too few.

    A program of one context and a batch of one image.
    """
    memories = program.memories
    sizes = {name: width * depth for name, (width, depth) in memories.items()}
    maps = sizes.pop("activations")
    del sizes["weights"]
    room = memory - sum(sizes.values())
    found = []
    for inside, buffer in ((True, room - maps), (False, room - _lines(program))):
        layers = _layers(program, buffer // 2, inside) if buffer > 0 else None
        if layers is not None:
            found.append(Traffic(layers, inside, _more(program, layers)))
    return min(found, key=lambda each: each.weights + each.maps, default=None)


def _more(program: Program, layers: Sequence[LayerTraffic]) -> int:
    return sum(
        layer.cycles - _cycles(program, record, 1)
        for layer, record in zip(layers, program.records, strict=True)
    )


def _cycles(program: Program, record: Record, parts: int) -> int:
    return max(parts * program.cycles.fetch(record), program.cycles.compute(record))


def _lines(program: Program) -> int:
    """Return the bits of the rows that overlapping windows need at once, at most."""
    found = [0]
    for layer in program.network:
        size = program.network.sizes[program.network.sources(layer)[0]]
        if isinstance(layer, Conv2d | MaxPool) and layer.window.kernel[0] > layer.window.stride[0]:
            codes = layer.window.kernel[0] * size.width * size.channels
            found.append(codes * layer.input.width)
    return max(found)


def _layers(program: Program, half: int, inside: bool) -> tuple[LayerTraffic, ...] | None:
    """Return what each layer moves; None where one tile of weights is more than half a buffer."""
    network, geometry, found = program.network, program.geometry, []
    word = geometry.columns * geometry.lanes * program.operands.weight.width
    for record in program.records:
        layer = record.mapped.layer
        weights = word * program.words_of(record.mapped)
        parts = _parts([word * length for length in record.tiles.lengths] if weights else [], half)
        if parts is None:
            return None
        sources = network.sources(layer)
        inputs = sum(network.sizes[name].elements for name in sources) * layer.input.width
        output = network.sizes[layer.name].elements * layer.output.width
        maps = parts * inputs + output
        if inside:  # but for the image, and what comes out
            maps = (inputs if INPUT in sources else 0) + (0 if record.place.stored else output)
        found.append(LayerTraffic(weights, maps, parts, _cycles(program, record, parts)))
    return tuple(found)


def _parts(tiles: Sequence[int], most: int) -> int | None:
    """Return in how many parts tiles come, in their order; None where one is too large."""
    parts, left = 1, most
    for bits in tiles:
        if bits > most:
            return None
        if bits > left:
            parts, left = parts + 1, most
        left -= bits
    return parts
