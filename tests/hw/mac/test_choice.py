"""Which multiply-accumulate is taken: by the formats, and by the fabric."""

import pytest

from narrowgauge.hw.array.systolic import SystolicArray
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac.base import DotMAC
from narrowgauge.hw.mac.choice import COMPUTES, dot_product, in_blocks, mac, macs, multiplied
from narrowgauge.hw.mac.dot import DOT_PRODUCTS, Multiply
from narrowgauge.hw.mac.dsp import BlockMAC
from narrowgauge.hw.mac.dsp_packed import PackedMultiply
from narrowgauge.hw.mac.fabric import ANY, Blocks, Fabric
from narrowgauge.hw.mac.ieee import FloatMAC
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.float_sum import FloatSum
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.numbers.ieee import Float
from narrowgauge.hw.numbers.operands import Operands

from ..fabrics import FABRICS

INT8, FP16 = Operands(parse("int8"), parse("uint8")), Operands(parse("fp16"), parse("fp16"))
HALF = FloatSum(Float(5, 10))
INT4, SUM = Operands(parse("int4"), parse("uint4")), Accumulator(16)


def dots(made):
    return [type(each.dot) if isinstance(each, DotMAC) else type(each) for each in made.macs]


def test_a_fabric_says_what_is_in_blocks():
    def kinds(name, count, operands=INT4, lanes=2):
        fabric = FABRICS[name].using_blocks(count)
        return dots(macs(operands, lanes, SUM, 3, fabric=fabric))

    assert kinds("ice40", 2) == [BlockMAC, BlockMAC, Multiply]
    assert kinds("ecp5", 1) == [PackedMultiply, Multiply, Multiply]
    assert kinds("xc7", None) == [Multiply] * 3
    assert kinds("ice40", 0) == [Multiply] * 3
    made = macs(INT4, 2, SUM, 3, fabric=FABRICS["gowin"].using_blocks(2)).macs
    assert [each.dot.dsp for each in made if isinstance(each, DotMAC)] == [True, True, False]


@pytest.mark.parametrize("pair", [("bipolar", "bipolar"), ("bipolar", "uint4"), ("pow2_4", "int4")])
@pytest.mark.parametrize("name", ["ecp5", "gowin"])
def test_formats_without_products_take_no_block(pair, name):
    operands, fabric = Operands(*map(parse, pair)), FABRICS[name].using_blocks(1)
    assert in_blocks(operands, 64, SUM, 4, fabric=fabric) == (0, 0)
    made = macs(operands, 64, SUM, 4, fabric=fabric)  # one block would be too few for 64 lanes
    assert not any(each.dot.dsp for each in made.macs if isinstance(each, DotMAC))


@pytest.mark.parametrize(
    ("name", "operands", "lanes", "count", "right"),
    [
        ("ecp5", INT4, 5, 7, (2, 6)),  # two lanes a block
        ("gowin", INT8, 2, 3, (3, 3)),
        ("gowin", INT4, 3, 3, (2, 3)),  # a block and a half each
        ("ice40", INT8, 1, 3, (5, 3)),  # two elements a block
        ("ecp5", FP16, 1, 2, (2, 2)),
        ("xc7", INT8, 2, 0, (0, 0)),
    ],
)
def test_blocks_that_elements_take(name, operands, lanes, count, right):
    total = HALF if operands is FP16 else SUM
    assert in_blocks(operands, lanes, total, 5, fabric=FABRICS[name].using_blocks(count)) == right


def test_lanes_are_packed_as_they_are_counted():
    """The width of a block is the fabric's: there is no cell of another one."""
    int2 = Operands(parse("int2"), parse("uint2"))
    fabric = Fabric(blocks=Blocks(count=2, packing=18))
    assert in_blocks(int2, 4, SUM, 1, fabric=fabric) == (1, 2)
    (element,) = macs(int2, 4, SUM, 1, fabric=fabric).macs
    assert isinstance(element, DotMAC)
    assert isinstance(element.dot, PackedMultiply)
    assert len(element.dot.multipliers) == 2
    with pytest.raises(GeometryError, match=r"blocks of 27 bits have no cell .* 18 \(MULT18X18D\)"):
        Blocks(count=1, packing=27)
    with pytest.raises(GeometryError, match="do not take several lanes: its packing is 0"):
        PackedMultiply(int2, 4, fabric=ANY)


def test_a_fabric_reaches_dot_product_and_accumulator():
    element = mac(Operands(parse("bipolar"), parse("bipolar")), 64, SUM, fabric=FABRICS["ice40"])
    assert isinstance(element, DotMAC)
    assert element.dot.fabric == FABRICS["ice40"]
    assert mac(INT4, 2, SUM, fabric=FABRICS["ice40"]).delay == 0, "16 bits are two tiles"
    assert mac(INT4, 2, Accumulator(12), fabric=FABRICS["ice40"]).delay == 1
    assert mac(INT4, 2, Accumulator(12), fabric=FABRICS["ecp5"]).delay == 0


def test_one_alone_is_timed_as_in_an_array():
    fabric = FABRICS["ice40"].using_blocks()
    alone, (inside,) = mac(INT8, 1, SUM, fabric=fabric), macs(INT8, 1, SUM, 1, fabric=fabric).macs
    names = ("latency", "delay", "cumulative", "observes_overflow")
    assert [getattr(alone, n) for n in names] == [getattr(inside, n) for n in names]


def test_floats_have_products_in_blocks():
    fabric = FABRICS["ice40"].using_blocks()
    for chosen, dsp in ((ANY, False), (fabric, True)):
        element = mac(FP16, 1, HALF, fabric=chosen)
        assert isinstance(element, FloatMAC)
        assert element.dsp == dsp
    with pytest.raises(GeometryError, match="accumulated as it is multiplied"):
        dot_product(FP16, 1)


def test_what_a_block_could_take():
    assert {kind for (kind, _) in COMPUTES if multiplied(parse(first(kind)))} == {
        type(parse(name)) for name in ("int8", "e3m2", "fp16")
    }


def first(kind):
    names = {"Bipolar": "bipolar", "PowerOfTwo": "pow2_4", "MiniFloat": "e3m2"}
    return names.get(kind.__name__, "fp16" if kind.__name__ == "Float" else "int8")


def test_a_dot_product_of_a_user_is_taken(monkeypatch):
    class Own(Multiply):
        """Another one."""

    monkeypatch.setitem(COMPUTES, (Fixed, Fixed), Own)
    array = SystolicArray(Geometry(1, 2, 2), INT4, SUM)
    chosen = [each.mac for row in array.elements for each in row]
    assert [type(each.dot) for each in chosen if isinstance(each, DotMAC)] == [Own, Own]
    assert DOT_PRODUCTS[Fixed, Fixed] is Multiply


@pytest.mark.parametrize(
    ("weight", "activation", "each"),
    [("fp32", "fp32", 4), ("fp16", "fp16", 1), ("int8", "fp16", 1), ("pow2_4", "fp16", 0)],
)
def test_floats_are_in_blocks_as_far_as_there_is_room(weight, activation, each):
    pair, total = Operands(parse(weight), parse(activation)), FloatSum(Float(8, 23), 4)
    few = FABRICS["ecp5"].using_blocks(2 * 2 * each + 1)
    inside = 2 if each else 0  # what is shifted needs no block
    assert in_blocks(pair, 2, total, 3, fabric=few) == (inside, inside * 2 * each)
    made = macs(pair, 2, total, 3, fabric=few).macs
    assert [isinstance(mac, FloatMAC) and mac.dsp for mac in made] == [each > 0, each > 0, False]
    if each:
        with pytest.raises(GeometryError, match="DSP blocks are too few for one element"):
            macs(pair, 2, total, 3, fabric=FABRICS["ecp5"].using_blocks(2 * each - 1))
