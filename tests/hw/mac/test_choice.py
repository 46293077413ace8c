"""Which multiply-accumulate is taken: by the formats, and by the fabric."""

import pytest

from narrowgauge.hw.array.systolic import SystolicArray
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.mac.base import DotMAC
from narrowgauge.hw.mac.choice import COMPUTES, dot_product, mac, macs, multiplied
from narrowgauge.hw.mac.dot import DOT_PRODUCTS, Multiply
from narrowgauge.hw.mac.dsp import BlockMAC
from narrowgauge.hw.mac.dsp_packed import PackedMultiply
from narrowgauge.hw.mac.fabric import ANY
from narrowgauge.hw.mac.ieee import FloatMAC
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed, parse
from narrowgauge.hw.numbers.ieee import Float
from narrowgauge.hw.numbers.operands import Operands

from ..fabrics import FABRICS

INT8, FP16 = Operands(parse("int8"), parse("uint8")), Operands(parse("fp16"), parse("fp16"))
HALF = Float(5, 10)
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
