"""Mask the lanes of a word that lie inside the image."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...gates.address import CodeAddress
from ...gates.table import field

__all__ = ["EdgeMask", "EdgeMaskConfig", "Edges"]


@dataclass(frozen=True)
class Edges:
    """Position of a layer's windows over the edges of its image.

    ``left``, ``right`` and ``left_step`` are in codes where a run is a whole row of the kernel, and
    in pixels where it is a single pixel.

    Attributes
    ----------
    whole_rows : bool
        A run is a row of the kernel with all its channels; else it is a pixel.
    left, left_step : int
        How far the first window of a row reaches beyond the left edge, and how much less far each
        next one does.
    right : int
        Width of the image.
    top, top_step : int
        Rows by which the first window lies above the image, and from one row of windows to the
        next.
    input_rows : int
        Height of the image.
    width, height : int
        Windows of a row, and rows of them.
    """

    whole_rows: bool
    left: int
    left_step: int
    right: int
    top: int
    top_step: int
    input_rows: int
    width: int
    height: int


@dataclass(frozen=True)
class EdgeMaskConfig:
    """Sizes of an `EdgeMask`.

    Attributes
    ----------
    form : CodeAddress
        Lanes of a word, and the units in which it is read.
    layers : tuple of Edges or None
        A layer each; None where no window reaches beyond the image.
    outer, inner, length : int
        The most rows of runs that a window has, runs of such a row, and codes of a run, over all
        layers.
    """

    form: CodeAddress
    layers: tuple[Edges | None, ...]
    outer: int
    inner: int
    length: int


class EdgeMask(wiring.Component):
    """Follow the window over the image and its edges.

    A run is outside where its row of the image does not exist. Of a run that is a row of the
    kernel, the codes left and right of the image are outside; a run of one pixel is as a whole.

    Inputs describe the word that is addressed in this cycle and what follows it; ``o`` is the mask
    of this word, without latency.

    Parameters
    ----------
    config : EdgeMaskConfig

    Members
    -------
    i_layer : In(range(layers))
    i_start : In(1)
        A job begins: its first window is next.
    i_position, i_line, i_image : In(1)
        Another position is next; on another row; in another image.
    i_outer, i_inner : In
        Row and column of the run in the kernel, now.
    i_run, i_word : In(1)
        Another run is next; another word of the run.
    i_entry : In
        Unit of the first word at which the run begins.
    o : Out(lanes)
        Lanes inside the image; combinational.
    """

    i_layer: Signal
    i_start: Signal
    i_position: Signal
    i_line: Signal
    i_image: Signal
    i_outer: Signal
    i_inner: Signal
    i_run: Signal
    i_word: Signal
    i_entry: Signal
    o: Signal

    def __init__(self, config: EdgeMaskConfig):
        self.config, self.form = config, config.form
        super().__init__(
            {
                "i_layer": In(range(len(config.layers))),
                "i_start": In(1),
                "i_position": In(1),
                "i_line": In(1),
                "i_image": In(1),
                "i_outer": In(range(config.outer)),
                "i_inner": In(range(config.inner)),
                "i_run": In(1),
                "i_word": In(1),
                "i_entry": In(config.form.part_width),
                "o": Out(config.form.lanes),
            }
        )

    def _used(self, name: str) -> Value:
        """Return a number of the current layer; 0 for layers without edges, which need none."""
        values = [0 if edges is None else getattr(edges, name) for edges in self.config.layers]
        return field(values, self.i_layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        padded = [edges for edges in self.config.layers if edges is not None]
        left, top = self._window(m, padded)
        line = (self.i_outer - top).as_signed()
        inside_rows = (line >= 0) & (line < self._used("input_rows"))
        masks = []
        whole = self._used("whole_rows")
        if any(edges.whole_rows for edges in padded):
            masks.append((whole, self._lanes(m, left)))
        if not all(edges.whole_rows for edges in padded):
            column = (self.i_inner - left).as_signed()
            within = (column >= 0) & (column < self._used("right"))
            masks.append((~whole, within.replicate(self.form.lanes)))
        inside = Signal.like(self.o)
        for chosen, lanes in masks:
            with m.If(chosen):
                m.d.comb += inside.eq(lanes & inside_rows.replicate(self.form.lanes))
        has_edges = field([edges is not None for edges in self.config.layers], self.i_layer)
        m.d.comb += self.o.eq(Mux(has_edges, inside, (1 << self.form.lanes) - 1))
        return m

    def _window(self, m: Module, padded: list[Edges]) -> tuple[Signal, Signal]:
        """Follow how far the window reaches beyond the left and the upper edge."""
        farthest = max(edges.width * edges.left_step + edges.right for edges in padded)
        lowest = max(edges.height * edges.top_step + edges.input_rows + 16 for edges in padded)
        # the first window may lie further out than all others together reach
        farthest = max(farthest, *(edges.left + 1 for edges in padded))
        lowest = max(lowest, *(edges.top + 1 for edges in padded))
        left, top = Signal(range(-farthest, farthest)), Signal(range(-lowest, lowest))
        first_left, first_top = self._used("left"), self._used("top")
        with m.If(self.i_position | self.i_start):
            m.d.sync += left.eq(left - self._used("left_step"))
            with m.If(self.i_line | self.i_start):
                m.d.sync += [left.eq(first_left), top.eq(top - self._used("top_step"))]
            with m.If(self.i_image | self.i_start):
                m.d.sync += top.eq(first_top)
        return left, top

    def _lanes(self, m: Module, left: Signal) -> Value:
        """Return the lanes that lie between the left and the right edge."""
        lanes, unit = self.form.lanes, self.form.unit
        # codes of the words of the run before this one
        before = Signal(range(self.config.length + 2 * lanes))
        with m.If(self.i_run | self.i_start):
            m.d.sync += before.eq(0)
        with m.Elif(self.i_word):
            m.d.sync += before.eq(before + lanes)
        begin = (left + self.i_entry * unit - before).as_signed()
        end = begin + self._used("right")
        return Cat((begin <= lane) & (lane < end) for lane in range(lanes))
