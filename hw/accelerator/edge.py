"""Which lanes of a word that is read lie inside the image."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..gates.address import CodeAddress
from ..gates.table import field
from ..program.layout import Program

__all__ = ["EdgeMask"]


class EdgeMask(wiring.Component):
    """Follow the window over the image and its edges.

    A run is outside where its row of the image does not exist. Of a run that is a row of the
    kernel, the codes left and right of the image are outside; a run of one pixel is as a whole.

    Members
    -------
    i_layer : In(layer)
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

    def __init__(self, program: Program, form: CodeAddress):
        self.feeds, self.form = [record.feed for record in program.records], form
        super().__init__(
            {
                "i_layer": In(range(len(self.feeds))),
                "i_start": In(1),
                "i_position": In(1),
                "i_line": In(1),
                "i_image": In(1),
                "i_outer": In(range(max(feed.outer for feed in self.feeds))),
                "i_inner": In(range(max(feed.inner for feed in self.feeds))),
                "i_run": In(1),
                "i_word": In(1),
                "i_entry": In(form.part_width),
                "o": Out(form.lanes),
            }
        )

    def _used(self, name: str):
        """Return a number of the current layer; 0 for layers without padding, which need none."""
        values = [getattr(feed, name) if feed.padded else 0 for feed in self.feeds]
        return field(values, self.i_layer)

    def elaborate(self, platform) -> Module:
        m = Module()
        padded = [feed for feed in self.feeds if feed.padded]
        left, top = self._window(m, padded)
        line = (self.i_outer - top).as_signed()
        inside_rows = (line >= 0) & (line < self._used("input_rows"))
        masks = []
        whole = self._used("whole_rows")
        if any(feed.whole_rows for feed in padded):
            masks.append((whole, self._lanes(m, left)))
        if not all(feed.whole_rows for feed in padded):
            column = (self.i_inner - left).as_signed()
            within = (column >= 0) & (column < self._used("right"))
            masks.append((~whole, within.replicate(self.form.lanes)))
        inside = Signal.like(self.o)
        for chosen, lanes in masks:
            with m.If(chosen):
                m.d.comb += inside.eq(lanes & inside_rows.replicate(self.form.lanes))
        m.d.comb += self.o.eq(Mux(self._used("padded"), inside, (1 << self.form.lanes) - 1))
        return m

    def _window(self, m: Module, padded) -> tuple[Signal, Signal]:
        """Follow how far the window reaches beyond the left and the upper edge."""
        farthest = max(feed.width * feed.left_step + feed.right for feed in padded)
        lowest = max(feed.height * feed.top_step + feed.input_rows + 16 for feed in padded)
        left, top = Signal(range(-farthest, farthest)), Signal(range(-lowest, lowest))
        first_left, first_top = self._used("left"), self._used("top")
        with m.If(self.i_position | self.i_start):
            m.d.sync += left.eq(left - self._used("left_step"))
            with m.If(self.i_line | self.i_start):
                m.d.sync += [left.eq(first_left), top.eq(top - self._used("top_step"))]
            with m.If(self.i_image | self.i_start):
                m.d.sync += top.eq(first_top)
        return left, top

    def _lanes(self, m: Module, left):
        """Return the lanes that lie between the left and the right edge."""
        lanes, unit = self.form.lanes, self.form.unit
        longest = max(feed.length for feed in self.feeds)
        before = Signal(range(longest + 2 * lanes))  # codes of the words of the run before this one
        with m.If(self.i_run | self.i_start):
            m.d.sync += before.eq(0)
        with m.Elif(self.i_word):
            m.d.sync += before.eq(before + lanes)
        begin = (left + self.i_entry * unit - before).as_signed()
        end = begin + self._used("right")
        return Cat((begin <= lane) & (lane < end) for lane in range(lanes))
