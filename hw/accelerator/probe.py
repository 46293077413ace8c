"""Probes every partial sum and every level as they pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..gates.pipeline import delay
from ..gates.table import field
from ..numbers.format import Format
from ..numbers.ieee import Float
from .job import IMAGE_WIDTH, check_contexts, loops_of

__all__ = ["Probe", "ProbeConfig", "ProbeLayer"]

ELEMENT_WIDTH = 32


@dataclass(frozen=True)
class ProbeLayer:
    """Mode and channels of a layer, for a `Probe`.

    Attributes
    ----------
    mode : int
        Index of the input that has its levels.
    channels : int
        Output channels.
    single : bool
        An image has one position: positions count images.
    shifts : int
        Positions of a strip.
    """

    mode: int
    channels: int
    single: bool
    shifts: int = 1


@dataclass(frozen=True)
class ProbeConfig:
    """Sizes of a `Probe`.

    Attributes
    ----------
    tag, batch : StructLayout
        Layouts of a `Tag` and of a `Batch`.
    contexts, rows : int
        Contexts, and rows of the array.
    sum : StructLayout
        Layout of a partial sum with its flag, `array.systolic.drained`.
    total : Float, optional
        The format of the sums, where they are codes of floats; the trace has their ranks.
    chains : int
        Chains of the array.
    latency : int
        Cycles from a sum to its levels.
    levels : sequence of Format
        Format of the levels of each mode.
    layers : sequence of ProbeLayer

    Raises
    ------
    GeometryError
        For other than 1 or 2 contexts.
    """

    tag: data.StructLayout
    batch: data.StructLayout
    contexts: int
    rows: int
    sum: data.StructLayout
    chains: int
    latency: int
    levels: Sequence[Format]
    layers: Sequence[ProbeLayer]
    total: Float | None = None

    def __post_init__(self) -> None:
        check_contexts(self.contexts)

    @property
    def entry(self) -> data.StructLayout:
        """Layout of what the trace has of a chain; `traced.trace_layout` says what it is."""
        width = max(fmt.level_shape.width for fmt in self.levels)
        return data.StructLayout(
            {
                "valid": 1,
                "image": unsigned(IMAGE_WIDTH),
                "element": unsigned(ELEMENT_WIDTH),
                "sum": self.total.level_shape if self.total else self.sum["sum"].shape,
                "overflow": 1,
                "level": signed(width + 1),
            }
        )

    @property
    def trace(self) -> data.StructLayout:
        """Layout of the trace."""
        layer = unsigned(ceil_log2(len(self.layers)))
        return data.StructLayout(
            {
                "sums": data.ArrayLayout(self.entry, self.chains),
                "layer": layer,
                "step": 1,
                "running": 1,
                "current": layer,
            }
        )


class Probe(wiring.Component):
    """Say of every partial sum which it is and what level it becomes, when that is there.

    That is ``config.latency`` cycles after the sum has left the array; what runs is told in the
    same cycle.

    Parameters
    ----------
    config : ProbeConfig

    Members
    -------
    tags : In(stream.Signature(Tag, always_ready=True))
        The tag of the partial sums that leave the array in this cycle.
    i_sums : In(ArrayLayout(sum, chains))
        These sums.
    i : In(ArrayLayout(level, chains))
        Levels of each mode of the sums ``latency`` cycles before, in ``levels[k]``; members
        ``i_0``, ``i_1``.
    i_batches : In(ArrayLayout(Batch, contexts))
        The batch that each context computes.
    i_step, i_computing, i_pooling : In(1)
        The array computes; a layer has the array, ``i_layer``; or the max pool, ``i_pool_layer``.
    o : Out(config.trace)
    """

    tags: stream.Interface
    i_sums: data.View
    i_batches: data.View
    i_step: Signal
    i_computing: Signal
    i_layer: Signal
    i_pooling: Signal
    i_pool_layer: Signal
    o: data.View

    def __init__(self, config: ProbeConfig):
        self.config = config
        layer = config.trace["layer"].shape
        super().__init__(
            {
                "tags": In(stream.Signature(config.tag, always_ready=True)),
                "i_sums": In(data.ArrayLayout(config.sum, config.chains)),
                "i_batches": In(data.ArrayLayout(config.batch, config.contexts)),
                "i_step": In(1),
                "i_computing": In(1),
                "i_layer": In(layer),
                "i_pooling": In(1),
                "i_pool_layer": In(layer),
                "o": Out(config.trace),
            }
            | {
                f"i_{k}": In(data.ArrayLayout(fmt.level_shape, config.chains))
                for k, fmt in enumerate(config.levels)
            }
        )

    @property
    def levels(self) -> list[data.View]:
        """The inputs, one for each mode: a level a chain."""
        return [getattr(self, f"i_{k}") for k in range(len(self.config.levels))]

    def elaborate(self, platform) -> Module:
        m = Module()
        config, layers = self.config, self.config.layers
        now = Signal(
            data.StructLayout(
                {
                    "tag": config.tag,
                    "image": IMAGE_WIDTH,
                    "element": ELEMENT_WIDTH,
                    "sums": self.i_sums.shape(),
                }
            )
        )
        self._places(m, now.image, now.element)
        m.d.comb += [now.tag.eq(self.tags.payload), now.sums.eq(self.i_sums)]
        then = delay(m, now, config.latency)
        valid, tag = delay(m, self.tags.valid, config.latency, reset_less=False), then.tag
        batch = self.i_batches[tag.job.context]
        mode = field([layer.mode for layer in layers], tag.job.layer)
        single = field([layer.single for layer in layers], tag.job.layer)
        step = field([layer.shifts * layer.channels for layer in layers], tag.job.layer)
        for index, entry in enumerate(self.o.sums):
            image = then.image + Mux(single, index, 0)
            levels = Array(levels[index] for levels in self.levels)
            m.d.comb += [
                entry.valid.eq(valid & tag.used & tag.rows[index] & (image < batch.count)),
                entry.image.eq(batch.image + image),
                entry.element.eq(then.element + Mux(single, 0, index * step)),
                entry.sum.eq(_level(config.total, then.sums[index].sum)),
                entry.overflow.eq(then.sums[index].overflow),
                entry.level.eq(levels[mode]),
            ]
        m.d.comb += [
            self.o.layer.eq(tag.job.layer),
            self.o.step.eq(self.i_step),
            self.o.running.eq(self.i_computing | self.i_pooling),
            self.o.current.eq(Mux(self.i_computing, self.i_layer, self.i_pool_layer)),
        ]
        return m

    def _places(self, m: Module, first_image: Value, first_element: Value) -> None:
        """Give image in the context and element of the output of the first chain's sum."""
        config, tag = self.config, self.tags.payload
        chunk, image = Signal(ELEMENT_WIDTH), Signal(IMAGE_WIDTH)  # positions before the chunk
        tile_ends = Cat(tag.last[loop] for loop in ("column", "rank", "tile")).all()
        ends, shift = tile_ends, Signal(ELEMENT_WIDTH)  # of a strip
        if "shift" in loops_of(config.tag):
            ends = tile_ends & tag.last.shift
            with m.If(self.tags.valid & tile_ends):
                m.d.sync += shift.eq(Mux(ends, 0, shift + 1))
        with m.If(self.tags.valid & ends):
            m.d.sync += chunk.eq(Mux(tag.last.chunk, 0, chunk + config.rows))
            with m.If(tag.last.chunk):
                m.d.sync += image.eq(Mux(tag.last.image, 0, image + 1))
        single = field([layer.single for layer in config.layers], tag.job.layer)
        channels = field([layer.channels for layer in config.layers], tag.job.layer)
        shifts = field([layer.shifts for layer in config.layers], tag.job.layer)
        position = chunk + tag.rank * config.chains
        m.d.comb += [
            first_image.eq(Mux(single, position, image)),
            first_element.eq(Mux(single, 0, (position * shifts + shift) * channels) + tag.channel),
        ]


def _level(total: Float | None, value: Value) -> Value:
    """Return a sum, or of floats its rank."""
    return total.level_of(value) if total else value
