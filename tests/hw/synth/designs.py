"""Small designs to synthesise."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class Element(wiring.Component):
    """Multiply-accumulate with registers that pass both operands on; ``offset`` tells two apart."""

    a: Any
    b: Any
    first: Any
    o_a: Any
    o_b: Any
    o_first: Any
    total: Any

    def __init__(self, width=4, offset=0):
        self.offset = offset
        operand, total = signed(width), signed(2 * width + 4)
        super().__init__(
            {
                "a": In(operand),
                "b": In(operand),
                "first": In(1),
                "o_a": Out(operand),
                "o_b": Out(operand),
                "o_first": Out(1),
                "total": Out(total),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [self.o_a.eq(self.a), self.o_b.eq(self.b), self.o_first.eq(self.first)]
        m.d.sync += self.total.eq(self.total + self.a * self.b)
        with m.If(self.first):
            m.d.sync += self.total.eq(self.a * self.b + self.offset)
        return m


class Array(wiring.Component):
    """Elements in a grid; ``offsets`` maps (row, column) to an element's offset."""

    a: Any
    b: Any
    first: Any
    row: Any
    o: Any
    trace: Any

    def __init__(self, rows, columns, width=4, offsets=None):
        self.rows, self.columns, self.width = rows, columns, width
        self.offsets = offsets or {}
        super().__init__(
            {
                "a": In(signed(width)).array(rows),
                "b": In(signed(width)).array(columns),
                "first": In(1),
                "row": In(range(max(rows, 2))),
                "o": Out(signed(2 * width + 4)).array(columns),
                "trace": Out(signed(2 * width + 4)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        grid = {}
        for row in range(self.rows):
            for column in range(self.columns):
                element = Element(self.width, self.offsets.get((row, column), 0))
                grid[row, column] = m.submodules[f"element_{row}_{column}"] = element
                left, above = grid.get((row, column - 1)), grid.get((row - 1, column))
                m.d.comb += [
                    element.a.eq(left.o_a if left else self.a[row]),
                    element.b.eq(above.o_b if above else self.b[column]),
                    element.first.eq(above.o_first if above else self.first),
                ]
        for column in range(self.columns):
            with m.Switch(self.row):
                for row in range(self.rows):
                    with m.Case(row):
                        m.d.sync += self.o[column].eq(grid[row, column].total)
        m.d.sync += self.trace.eq(self.trace + grid[0, 0].total)
        return m


class Table(wiring.Component):
    """A memory with contents, read and written every cycle."""

    at: Any
    write: Any
    on: Any
    o: Any

    def __init__(self, contents, width=16):
        self.contents, self.width = contents, width
        super().__init__(
            {"at": In(range(len(contents))), "write": In(width), "on": In(1), "o": Out(width)}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = table = memory.Memory(
            shape=self.width, depth=len(self.contents), init=self.contents
        )
        port, writer = table.read_port(), table.write_port()
        m.d.comb += [
            port.addr.eq(self.at),
            self.o.eq(port.data),
            writer.addr.eq(self.at),
            writer.data.eq(self.write),
            writer.en.eq(self.on),
        ]
        return m


class Several(wiring.Component):
    """Parts side by side, each output in its own port."""

    at: Any
    write: Any
    on: Any
    o: Any

    def __init__(self, *parts, **members):
        self.parts = parts
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for index, part in enumerate(self.parts):
            m.submodules[f"part_{index}"] = part
            m.d.comb += [part.at.eq(self.at), part.write.eq(self.write), part.on.eq(self.on)]
            m.d.comb += self.o[index].eq(part.o)
        return m


class Through(wiring.Component):
    """Wires from ``i`` to ``o``: nothing at all to measure."""

    i: Any
    o: Any

    def __init__(self, width):
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


class Delay(wiring.Component):
    """One register a bit: what a shift register around it must not swallow."""

    i: Any
    o: Any
    one: Any

    def __init__(self, width):
        super().__init__({"i": In(width), "o": Out(width), "one": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i)
        m.d.comb += self.one.eq(Const(1))
        return m


class AlikeSums(wiring.Component):
    """Two sums of the same low bits and different high bits: their carry chains begin alike."""

    low_a: Any
    low_b: Any
    one_a: Any
    one_b: Any
    two_a: Any
    two_b: Any
    one: Any
    two: Any

    def __init__(self, width):
        names = ("low_a", "low_b", "one_a", "one_b", "two_a", "two_b")
        super().__init__(
            {name: In(width) for name in names} | {"one": Out(2 * width), "two": Out(2 * width)}
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += [
            self.one.eq(Cat(self.low_a, self.one_a) + Cat(self.low_b, self.one_b)),
            self.two.eq(Cat(self.low_a, self.two_a) + Cat(self.low_b, self.two_b)),
        ]
        return m
