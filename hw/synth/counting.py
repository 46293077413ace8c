"""What an accelerator is made of, counted without synthesis: the terms of an estimate."""

from collections import Counter
from math import ceil
from typing import Protocol

from amaranth.hdl import Instance, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out, Signature

from ..accelerator.top import Accelerator
from ..mac.base import MAC
from ..tools.rtlil import uncollected
from .build import infers_blocks
from .family import Family
from .gates import CountedMemory, Counts, count_gates
from .targets import Target

__all__ = ["count_accelerator", "count_element"]

_BLOCK = {"ice40": 64, "ecp5": 128, "gowin": 128, "xc7": 513}
"""Yosys's price of a memory block, in bits of memory made of registers."""
_SMALL = {"ecp5": (16, 4), "gowin": (16, 4), "xc7": (32, 8)}
"""Words of a memory of four bits in logic cells, and its price."""
_MULTIPLIERS = {
    "ice40": (16, 16, 11),
    "ecp5": (18, 18, 9),
    "gowin": (18, 18, 9),
    "xc7": (25, 18, 9),
}
"""Bits of the operands of a DSP block, and of the least product that is made of one."""
_DSP_CELLS = "cell SB_MAC16", "cell MULT18X18D"


def count_accelerator(accelerator: Accelerator, target: Target) -> Counts:
    """Return what `gates.count_gates` finds, and the terms of memories.

    Processing elements are alike, so one is counted; its terms begin with ``element`` and are those
    of all. With DSP blocks they may differ, and are counted with the rest. The accelerator cannot
    be built afterwards.

    Returns
    -------
    Counter of str
        Beside those of gates: ``bram``, the blocks; ``block_mux``, bits that are chosen between
        blocks; ``small_memories``, of four bits; ``ram_bits`` and ``rom_bits`` in logic cells;
        ``dsp``, the DSP blocks; and ``product``, the bits of both operands of other multipliers,
        multiplied.
    """
    inputs, array = target.family.lut_inputs, accelerator.array
    element = array.elements[0][0]
    with uncollected():
        if not accelerator.implementation.fabric.blocks.used:
            places = [[_Place(each.signature, each.mac) for each in row] for row in array.elements]
            vars(array)["elements"] = places
        found, memories = count_gates(accelerator, target, inputs)
        for idle in (False, True):
            if number := found.pop("idle cell element" if idle else "cell element", 0):
                own, _ = count_gates(
                    _Element(element, element.o_drain.sum, idle=idle), target, inputs
                )
                found.update({f"element {name}": number * count for name, count in own.items()})
    for memory in memories:
        found.update(_memory_terms(memory, target.family))
    return _with_multipliers(found, target.family if infers_blocks(accelerator) else None)


def _with_multipliers(found: Counts, family: Family | None) -> Counts:
    """Return counts with ``dsp`` and ``product`` in place of multipliers and blocks' cells."""
    kept = Counter({name: count for name, count in found.items() if name not in _DSP_CELLS})
    kept["dsp"] = sum(found[name] for name in _DSP_CELLS)
    for name in [each for each in found if each.startswith("multiplier ")]:
        count = kept.pop(name)
        a, b = map(int, name.removeprefix("multiplier ").split("x"))
        blocks = _multiplier_blocks(a, b, family) if family else 0
        kept["dsp"] += ceil(count * blocks)
        kept["product"] += 0 if blocks or b < 2 else count * a * b
    return kept


def _multiplier_blocks(a: int, b: int, family: Family) -> float:
    """Return the DSP blocks of a product; Yosys makes small ones of logic cells."""
    widest, narrowest, least = _MULTIPLIERS[family.name]
    if b < 2 or a + b < least:
        return 0
    half = 0.5 if family.name == "gowin" and a <= 9 else 1
    return half * ceil(a / widest) * ceil(b / narrowest)


def count_element(component: Component, target: Target) -> Counts:
    """Return what a multiply-accumulate or an array alone takes, by the terms of an element's."""
    with uncollected():
        found, _ = count_gates(component, target, target.family.lut_inputs)
    return Counter({f"element {name}": count for name, count in found.items()})


class _Elaborated(Protocol):
    """A component, of which stubs do not say that it is elaborated."""

    @property
    def signature(self) -> Signature: ...

    def elaborate(self, platform: object) -> Module: ...


class _Element(Component):
    """A processing element whose flag of overflow nothing reads, as in an accelerator.

    An ``idle`` one is in a row to which no image comes: its activations are 0.
    """

    o: Signal

    def __init__(self, element: _Elaborated, total: Value, *, idle: bool):
        self.element, self.total = element, total
        members = dict(element.signature.members)
        del members["o_drain"]
        if idle:
            del members["i_activations"]
        super().__init__({**members, "o": Out(len(total))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.element = element = self.element
        for name, member in element.signature.members.items():
            if member.flow is In and hasattr(self, name):
                m.d.comb += getattr(element, name).eq(getattr(self, name))
        m.d.comb += self.o.eq(self.total)
        return m


class _Place(Component):
    """The place of a processing element, of which nothing is known but its ports."""

    def __init__(self, signature: Signature, mac: MAC):
        self.mac = mac
        super().__init__(signature)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports = {
            f"{'i' if member.flow is In else 'o'}_{'_'.join(map(str, path))}": value
            for path, member, value in self.signature.flatten(self)
        }
        m.submodules.element = Instance("element", **ports)
        return m


def _memory_terms(memory: CountedMemory, family: Family) -> dict[str, int]:
    """Return what a memory takes: blocks, small memories, or logic, as Yosys prices them."""
    width, depth, parts, single_port = memory
    if single_port:
        return {}
    bits = width * depth
    blocks, deepest = _blocks(memory, family)
    small = 0
    prices = {"block": blocks * _BLOCK[family.name], "logic": bits if parts else bits / 16}
    if parts and family.name in _SMALL:
        words, price = _SMALL[family.name]
        small = parts * -(-width // (4 * parts)) * -(-depth // words)
        prices["small"] = small * price
    match min(prices, key=lambda kind: prices[kind]):
        case "small":
            return {"small_memories": small}
        case "logic":
            return {"ram_bits" if parts else "rom_bits": bits}
    return {"bram": blocks, "block_mux": width * (-(-depth // deepest) - 1)}


def _blocks(memory: CountedMemory, family: Family) -> tuple[int, int]:
    """Return the blocks of a memory, and the words that each is deep.

    What is written alone has bytes of nine bits; on iCE40 a word of 16 bits has a mask.
    """
    parts = max(memory.parts, 1)
    part = memory.width // parts
    found = []
    for width, depth in family.bram_shapes:
        if parts == 1 or (family.name == "ice40" and width == 16):
            across = -(-memory.width // width)
        elif width == 36:
            continue
        elif width % 9 == 0:
            across = -(-parts * -(-part // 9) // (width // 9))
        else:
            across = parts * -(-part // width)
        found.append((across * -(-memory.depth // depth), -depth))
    blocks, deepest = min(found)
    return blocks, -deepest
