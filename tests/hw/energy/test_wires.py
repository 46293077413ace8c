"""Wires of routed nets, by their names."""

import json

import pytest

from narrowgauge.hw.energy.wires import Wires, net_wires, wires_of
from narrowgauge.hw.errors import ToolError

SPANS = (  # from a register over two spans to a LUT, and to one beside it
    "X5/Y9/lutff_2:out;;1;X6/Y9/local_g0_2;X6/Y9/5.9.lutff_2:out.->.6.9.local_g0_2;1;"
    "X6/Y9/lutff_3:in_1;X6/Y9/6.9.local_g0_2.->.6.9.lutff_3:in_1;1;"
    "X6/Y9/lutff_3:in_1_lut;X6/Y9/6.9.lutff_3:in_1.->.6.9.lutff_3:in_1_lut;1;"
    "X5/Y9/sp4_h_r_4;X5/Y9/5.9.lutff_2:out.->.5.9.sp4_h_r_4;1;"
    "X9/Y9/sp4_v_b_7;X9/Y9/5.9.sp4_h_r_4.->.9.9.sp4_v_b_7;1;"
    "X9/Y12/local_g1_3;X9/Y12/9.9.sp4_v_b_7.->.9.12.local_g1_3;1;"
    "X9/Y12/lutff_0:in_0;X9/Y12/9.12.local_g1_3.->.9.12.lutff_0:in_0;1;"
    "X9/Y12/lutff_0:in_0_lut;X9/Y12/9.12.lutff_0:in_0.->.9.12.lutff_0:in_0_lut;1"
)
CLOCK = (
    "X3/Y3/lutff_global:clk;X3/Y3/0.1.glb_netwk_6.->.3.3.lutff_global:clk;1;X0/Y1/glb_netwk_6;;1"
)
CARRY = "X3/Y3/lutff_7:cout;;1;X3/Y4/carry_in_mux;X3/Y4/3.3.lutff_7:cout.->.3.4.carry_in_mux;1"
OWN = "X5/Y9/lutff_2:out;;1;X5/Y9/local_g0_2;X5/Y9/5.9.lutff_2:out.->.5.9.local_g0_2;1"
TABLE = {
    SPANS: Wires(local=5, neighbour=1, span4=2),
    CLOCK: Wires(local=1, global_=1),
    CARRY: Wires(carry=2),
    OWN: Wires(local=2),
    "X1/Y0/span4_horz_r_8;;1;X0/Y3/sp12_h_r_0;;1;X4/Y4/slf_op_3;;1": Wires(1, span4=1, span12=1),
    " ": Wires(),  # an empty text, as Yosys's JSON has it
}


@pytest.mark.parametrize("routing", TABLE)
def test_wires_are_counted_by_kind(routing):
    assert wires_of(routing) == TABLE[routing]


def test_each_net_has_its_wires():
    nets = {"a": SPANS, "b[3]": CLOCK, "inside": None}
    names = {name: {"attributes": {"ROUTING": text} if text else {}} for name, text in nets.items()}
    found = net_wires(json.dumps({"modules": {"top": {"netnames": names}}}))
    assert found == {"a": TABLE[SPANS], "b[3]": TABLE[CLOCK], "inside": Wires()}


@pytest.mark.parametrize("wire", ["X1/Y2/sp8_h_r_1", "X1/Y2/lutff_0:in", "sp4_h_r_1", "X1/Y2/"])
def test_unknown_wires_are_refused(wire):
    with pytest.raises(ToolError, match=f"over {wire}, a wire of a kind that is not known"):
        wires_of(f"{OWN};{wire};;1")


@pytest.mark.parametrize("text", ["", "{}", '{"modules": {}}', '{"modules": {"top": {}}}'])
def test_other_texts_are_refused(text):
    with pytest.raises(ToolError, match="no routed design"):
        net_wires(text)
