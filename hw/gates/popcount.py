"""Popcount of lanes that agree, or are both 1: counters of 3, 7, 15, ... lanes, few cells each.

A counter of ``2**k - 1`` lanes is two counters of half as many, and one lane more as the carry-in
of the adder that joins them: no value of its ``k`` bits is wasted. The smallest ones are logic:

- Three lanes are three 4-input LUTs. With ``p`` the parity of two lanes and ``s`` that of all
  three, the carry is the third lane where ``p`` is 1, and any of the first two where it is 0. The
  third lane is ``s ^ p``, so the carry is a function of ``p``, ``s`` and the operands of one lane.
  A lane may be any function of its two operands.
- Seven lanes are two of those and a lane, joined by two full adders of two LUTs each; the first
  one takes the operands of its lane, not the lane.

Counters of more lanes are joined by carry chains, one cell a bit. With 6-input LUTs (`Structure`)
three lanes are two LUTs, and carry chains join them at once.

``2**k`` lanes are ``2**k - 1`` and one that makes the first counter of seven one of eight. Fewer
lanes are filled with constants, as many ones as zeros, so that their sum needs no adder.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..errors import GeometryError
from .attributes import MAP_ALONE
from .pipeline import delay

__all__ = ["PLAIN", "Structure", "bipolar_sum", "bipolar_sum_latency", "count_both"]

Lane: TypeAlias = tuple[Value, Value] | None
"""Weight and activation code; None where a constant takes the lane's place."""


@dataclass(frozen=True)
class Structure:
    """Structure of a popcount; the fabrics of `synth.family` have what `docs/popcount.md` measures.

    Parameters
    ----------
    wide : bool
        Its LUTs have 6 inputs, and a carry chain takes another LUT's function of its operands for
        free: everything above three lanes is an adder. If not, LUTs have 4 inputs.
    alternating : bool
        Sums are stored inverted at every other level. An adder turned upside down is an adder, and
        a carry that is inverted passes a LUT, whose cell has the register too; on iCE40 a carry
        that is stored as it is takes one cell to leave the chain, and one for the register.
    chained : int
        Adders of a level that are one carry chain. Between two of them is a bit that gives the
        carry of one and takes the carry-in of the next; where each end of a chain takes cells, that
        is cheaper, but to timing analysis the chain is as long as it is.
    """

    wide: bool = False
    alternating: bool = False
    chained: int = 1


PLAIN = Structure()
"""What is at home on every fabric."""


def bipolar_sum_latency(lanes: int, structure: Structure) -> int:
    """Return the cycles from operands to `bipolar_sum`."""
    above = max(0, _levels(lanes) - 3)  # adders in a row; each stores its sum
    return above + (not structure.wide) if above else 1


def bipolar_sum(m: Module, lanes: Sequence[tuple[Value, Value]], structure: Structure) -> Value:
    """Return the agreeing lanes less those that differ, `bipolar_sum_latency` cycles later.

    Parameters
    ----------
    m : Module
        Where the gates go.
    lanes : sequence of (Value, Value)
        The two bits of each lane.
    structure : Structure
        How they are counted.

    Returns
    -------
    Value
        Signed.
    """
    return _Tree(m, lanes, structure).build()


def count_both(m: Module, lanes: Sequence[tuple[Value, Value]], structure: Structure) -> Value:
    """Return in how many lanes both bits are 1, unsigned, `bipolar_sum_latency` cycles later.

    Raises
    ------
    GeometryError
        For lanes that are no power of two: constants would fill them, and be counted.
    """
    if len(lanes) & (len(lanes) - 1):
        raise GeometryError(
            f"pairs of bits are counted in 1, 2, 4, 8, ... lanes, not in {len(lanes)}; fill them "
            "with zeros"
        )
    tree = _Tree(m, lanes, structure, _not_both)
    return delay(m, tree.count().as_unsigned(), name="count")


def _unlike(*bits: Value) -> Value:
    """Return the parity of lanes that differ, two bits each, and of a bit in front of them."""
    return reduce(operator.xor, bits)


def _not_both(*bits: Value) -> Value:
    """Return the parity of lanes that are not both 1, and of a bit in front of them."""
    begin = len(bits) % 2
    lanes = zip(bits[begin::2], bits[begin + 1 :: 2], strict=True)
    return reduce(operator.xor, [*bits[:begin], *(~(a & b) for a, b in lanes)])


def _levels(lanes: int) -> int:
    """Return the bits of the count, without the one that only a full power of two needs."""
    return max(1, (lanes - 1).bit_length())


class _Bitwise(wiring.Component):
    """The same function of some bits, many times; each one LUT.

    Synthesis maps it alone: in a larger piece of logic it trades cells for depth, and the
    structure above, deep and small, would not survive.
    """

    i: Signal
    o: Signal

    def __init__(self, function: Callable[..., Value], width: int, operands: int):
        self.function, self.operands = function, operands
        super().__init__({"i": In(width * operands), "o": Out(width)})

    def elaborate(self, platform) -> Module:
        m = Module()
        width = len(self.o)
        operands = [self.i[n * width : (n + 1) * width] for n in range(self.operands)]
        result = Signal(width, attrs={MAP_ALONE: 1})
        m.d.comb += [result.eq(self.function(*operands)), self.o.eq(result)]
        return m


def _majority(a: Value, b: Value, c: Value) -> Value:
    return (a & b) | (c & (a ^ b))


def _count_four(a: Value, b: Value, c: Value, d: Value) -> Value:
    """Return how many of four bits are 1."""
    every = a & b & c & d
    two = (a & b) | (c & d) | ((a | b) & (c | d))
    return Cat(a ^ b ^ c ^ d, two & ~every, every)


class _Tree:
    """The counters of one popcount.

    A number is *inverted* where its bits are; with ``2**k - 1`` lanes that is the number of lanes
    that differ.
    """

    def __init__(
        self,
        m: Module,
        lanes: Sequence[tuple[Value, Value]],
        structure: Structure,
        differ: Callable[..., Value] = _unlike,
    ):
        self.m, self.structure = m, structure
        self.differ = differ  # of one lane, whether it does not count
        self.odd = len(lanes) % 2
        self.levels = _levels(len(lanes))
        slots = [*lanes, *[None] * ((1 << self.levels) - len(lanes))]
        self.extra = slots.pop()
        self.base = min(3, self.levels)
        self.groups: list[list[Lane]] = []
        self.carries: dict[int, list[Value]] = {}  # level -> carry-in of each of its adders
        self.inverted = self._inversions()
        self._arrange(self.levels, slots)

    def _inversions(self) -> dict[int, bool]:
        """Return for each level whether its adders take inverted numbers; the last do not."""
        alternating = self.structure.alternating
        return {
            level: alternating and (self.levels - level) % 2 == 1
            for level in range(self.base + 1, self.levels + 1)
        }

    def _arrange(self, level: int, slots: list[Lane]) -> None:
        """Deal out the lanes of one counter: to a group, or to two counters and a carry-in."""
        if level == self.base:
            self.groups.append(slots)
            return
        half = len(slots) // 2
        self._arrange(level - 1, slots[:half])
        carry = self._bit(slots[half], False, self.inverted[level])
        self.carries.setdefault(level, []).append(carry)
        self._arrange(level - 1, slots[half + 1 :])

    def _bit(self, lane: Lane, filler: bool, inverted: bool) -> Value:
        """Return whether a lane agrees, or ``filler`` for a constant; ``inverted``, whether not."""
        if lane is None:
            return Const(filler != inverted, 1)
        differs = self.differ(*lane)
        return differs if inverted else ~differs

    def build(self) -> Value:
        """Return the sum, signed: twice the count, less ``2**levels``, and 1 if that is odd."""
        count = self.count()
        top = self.levels - 1
        # less half of all slots: the top bit is turned round, and extends as a sign
        if self.extra is None:
            count = Cat(count[:top], ~count[top])
        else:
            count = Cat(count[:top], ~count[top], ~(count[top] | count[top + 1]))
        return Cat(Const(self.odd, 1), self._stored(count)).as_signed()

    def count(self) -> Value:
        """Return how many lanes count, those of constants among them."""
        return self._small() if self.base < 3 else self._large()

    def _small(self) -> Value:
        """Return the count of at most four lanes."""
        (group,) = self.groups
        if self.base == 1:
            bits = [self._bit(lane, True, False) for lane in (*group, self.extra) if lane]
            return (
                Value.cast(bits[0]) if len(bits) == 1 else Cat(bits[0] ^ bits[1], bits[0] & bits[1])
            )
        ((total, carry),) = self._triples([group])
        if not self.structure.wide:
            total, carry = ~total, ~carry
        if self.extra is None:
            return Cat(total, carry)
        more = total & self._bit(self.extra, False, False)
        return Cat(total ^ self._bit(self.extra, False, False), carry ^ more, carry & more)

    def _large(self) -> Value:
        """Return the count of more than four lanes."""
        numbers = self._sevens()
        for level in range(4, self.levels + 1):
            numbers = self._joined(level, numbers)
            if level < self.levels:
                if self.structure.alternating:
                    numbers = [_inverted(number) for number in numbers]
                numbers = self._all_stored(numbers)
        (count,) = numbers
        return count

    # --- groups of three and seven -------------------------------------------------------------

    def _triples(self, triples: list[list[Lane]]) -> list[tuple[Value, Value]]:
        """Return sum and carry of three lanes each; inverted, unless LUTs are wide."""
        differ = self.differ
        # constants: ones and zeros in turn, a one more
        fillers = [(Const(0, 1), Const(bit, 1)) for bit in (0, 1, 0)]
        filled = [
            [lane or filler for lane, filler in zip(triple, fillers, strict=True)]
            for triple in triples
        ]
        operands = [
            Cat(*(triple[n][side] for triple in filled)) for n in range(3) for side in (0, 1)
        ]
        if self.structure.wide:
            total = self._bitwise(lambda *bits: ~differ(*bits), *operands)
            carry = self._bitwise(
                lambda a, b, c, d, e, f: _majority(~differ(a, b), ~differ(c, d), ~differ(e, f)),
                *operands,
            )
        else:
            first, second, third = operands[:2], operands[2:4], operands[4:]
            parity = self._bitwise(differ, *first, *second)
            total = self._bitwise(differ, parity, *third)
            carry = self._bitwise(
                lambda p, s, a, b: (p & ~s) | (~p & differ(a, b)), parity, total, *first
            )
        return [(total[n], carry[n]) for n in range(len(triples))]

    def _bitwise(self, function: Callable[..., Value], *operands: Value) -> Value:
        gates = _Bitwise(function, len(operands[0]), len(operands))
        self.m.submodules += gates
        self.m.d.comb += gates.i.eq(Cat(*operands))
        return gates.o

    def _sevens(self) -> list[Value]:
        """Return the counts of the groups, of seven or eight lanes; 4 of a constant one."""
        real = [group for group in self.groups if any(group)]
        triples = [triple for group in real for triple in (group[:3], group[4:])]
        pairs = iter(self._triples([triple for triple in triples if any(triple)]))
        inverted = not self.structure.wide
        two = Const(int(inverted), 1), Const(int(not inverted), 1)  # of three constants
        partial: list[tuple[Value, Value, Value, Value, Lane, Lane]] = []
        for group in real:
            first, second = (next(pairs) if any(part) else two for part in (group[:3], group[4:]))
            extra = self.extra if group is self.groups[0] else None
            partial.append((first[0], first[1], second[0], second[1], group[3], extra))
        wanted = self.inverted.get(4, False)
        if self.structure.wide:
            counts = [self._added_seven(*parts) for parts in partial]
        elif self.levels == 3:
            counts = [_finished_seven(self._begun_seven(*parts, False), False) for parts in partial]
        else:
            begun = [self._begun_seven(*parts, wanted) for parts in partial]
            begun = self._all_stored(begun)
            counts = [_finished_seven(bits, wanted) for bits in begun]
        found = iter(counts)
        constant = Const(3 if wanted else 4, 3)
        return [self._net(next(found)) if any(group) else constant for group in self.groups]

    def _begun_seven(
        self, s1: Value, c1: Value, s2: Value, c2: Value, lane: Lane, extra: Lane, wanted: bool
    ) -> Value:
        """Return what a register holds of a group: the sum bit, three carries, and a lane of eight.

        The carries are inverted; so is the sum bit where the count is to be, or there are eight.
        """
        bit = self._bit(lane, False, True)
        total = s1 ^ s2 ^ bit
        carries = Cat(_majority(s1, s2, bit), c1, c2)
        if extra is not None:
            return Cat(total, carries, self._bit(extra, False, True))
        return Cat(total if wanted else ~total, carries)

    def _added_seven(
        self, s1: Value, c1: Value, s2: Value, c2: Value, lane: Lane, extra: Lane
    ) -> Value:
        """Return the count of a group by a carry chain: a sum bit is the carry-in."""
        bit = self._bit(lane, False, False)
        count = self._net((Cat(s2, s1, c1) + Cat(s2, bit, c2))[1:])
        if extra is None:
            return count
        # four functions of four bits, not an adder
        table = [n + more for more in (0, 1) for n in range(8)]
        packed = Const(sum(n << (4 * index) for index, n in enumerate(table)), 64)
        return packed.word_select(Cat(count, self._bit(extra, False, False)), 4)

    # --- adders ---------------------------------------------------------------------------------

    def _joined(self, level: int, numbers: list[Value]) -> list[Value]:
        """Return the counts of a level from those of the level below."""
        adders = [*zip(numbers[::2], numbers[1::2], self.carries.pop(level), strict=True)]
        constants = [_constant_sum(each, level) for each in adders]
        pairs = zip(adders, constants, strict=True)
        real = [self._operands(level, *each) for each, constant in pairs if constant is None]
        length = self.structure.chained
        chains = [real[begin : begin + length] for begin in range(0, len(real), length)]
        found = iter([total for chain in chains for total in self._chain(chain)])
        return [next(found) if constant is None else constant for constant in constants]

    def _operands(self, level: int, a: Value, b: Value, carry: Value) -> tuple[Value, Value, Value]:
        if len(a) > len(b):  # the counter of eight lanes is in it
            b = Cat(b, Const(self.inverted[level], 1))
        if self.structure.wide:  # the lane joins the LUT of a bit; what is there is the carry-in
            return a, Cat(carry, b[1:]), b[0]
        return a, b, carry

    def _chain(self, adders: list[tuple[Value, Value, Value]]) -> list[Value]:
        """Return the sums of some adders, which are one carry chain."""
        # a bit in front of each adder makes its carry-in, and has the carry of the adder before.
        # On iCE40, nextpnr cannot route one net to both operands; beside a 1 it is the same
        alone = Const(1, 1) if self.structure.alternating else None
        first = Cat(*(Cat(carry, a) for a, _, carry in adders))
        second = Cat(*(Cat(carry if alone is None else alone, b) for _, b, carry in adders))
        total = self._net(first + second)
        sums, begin = [], 0
        for a, _, _ in adders:
            sums.append(total[begin + 1 : begin + len(a) + 2])
            begin += len(a) + 1
        return sums

    # --- registers and wires --------------------------------------------------------------------

    def _net(self, value: Value) -> Value:
        net = Signal(len(value))
        self.m.d.comb += net.eq(value)
        return net

    def _stored(self, value: Value) -> Value:
        if isinstance(value, Const):
            return value
        return delay(self.m, value.as_unsigned(), name="register")

    def _all_stored(self, numbers: Iterable[Value]) -> list[Value]:
        """Return ``numbers`` a cycle later; the lanes that are yet to come wait as long."""
        for level, carries in self.carries.items():
            self.carries[level] = [self._stored(carry) for carry in carries]
        return [self._stored(number) for number in numbers]


def _finished_seven(bits: Value, inverted: bool) -> Value:
    """Return the count of a group from what `_Tree._begun_seven` left of it."""
    total, a, b, c = bits[:4]
    if len(bits) == 5:
        total = ~total
        more = total & ~bits[4]
        count = Cat(total ^ ~bits[4], _count_four(~a, ~b, ~c, more))
        return ~count if inverted else count
    high = Cat(a ^ b ^ c, _majority(a, b, c))
    return Cat(total, high if inverted else ~high)


def _inverted(number: Value) -> Value:
    if isinstance(number, Const):
        return Const(~number.value, len(number))
    return ~number


def _constant_sum(numbers: Iterable[Value], width: int) -> Const | None:
    """Return the sum of constants; None if one of the numbers is none."""
    constants = [number for number in numbers if isinstance(number, Const)]
    return Const(sum(each.value for each in constants), width) if len(constants) == 3 else None
