"""Plans: what they say, and what is wrong with those that cannot be run."""

import json
import re
from pathlib import Path

import pytest

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.tools.store import Store
from narrowgauge.scripts.commands.compare import NAMES, PLANS
from narrowgauge.scripts.sweeps.keys import KEYS
from narrowgauge.scripts.sweeps.plan import LARGEST, read_plan

from ..conftest import write_network
from .sweeping import write_plan

MAC = {"measure": "mac", "formats": "int4", "accumulator": 16, "target": "up5k"}
ARRAY = MAC | {"measure": "array"}
ENERGY = {"energy": True}
NETWORK = {"measure": "network", "network": "mnist-int2-64-64-64", "target": "up5k"}


def toml(table):
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())


@pytest.fixture
def read(tmp_path):
    def read(table):
        text = table if isinstance(table, str) else toml(table)
        return read_plan(write_plan(tmp_path / "mine.toml", text))

    return read


def test_a_plan_is_every_combination(read):
    plan = read(MAC | {"formats": ["bipolar", "int4/uint8"], "lanes": [1, 2], "overflow": "wrap"})
    rows = [point.row().plain() for point in plan.points]
    assert [(row["weight"], row["activation"], row["lanes"]) for row in rows] == [
        *(("bipolar", "bipolar", 1), ("bipolar", "bipolar", 2)),
        *(("int4", "uint8", 1), ("int4", "uint8", 2)),
    ]
    assert {row["accumulator_bits"] for row in rows} == {16}
    assert not any(row["routed"] for row in rows)
    assert (plan.name, plan.title, plan.left_out) == ("mine", "mine", {})


def test_parts_share_what_stands_above_them(read):
    plan = read(f'title = "T"\n{toml(MAC)}\nseeds = 2\n[[part]]\nlanes = 1\n[[part]]\nseeds = 0\n')
    assert [(point.lanes, point.seeds) for point in plan.points] == [(1, 2), (1, 0)]
    assert plan.title == "T"


def test_a_combination_that_is_there_twice_is_one_row(read):
    text = f"{toml(MAC)}\n[[part]]\nlanes = [1, 1]\n[[part]]\n"
    assert len(read(text).points) == 1


def test_an_array_has_a_geometry(read):
    (point,) = read(ARRAY | {"rows": 4, "chains": 2, "hop": 1}).points
    row = point.row().plain()
    assert [row[name] for name in ("rows", "columns", "lanes", "hop", "chains")] == [4, 2, 4, 1, 2]


def test_an_array_of_slices_beside_one_of_whole_weights(read):
    plan = read(ARRAY | {"formats": ["int8/uint4", "pow2_4/uint4"], "slice": ["whole", 2]})
    shown = [(point.weight, point.row().slice, point.text) for point in plan.points]
    assert shown == [
        ("int8", None, "int8 x uint4, 16 bits, 2x2x4"),
        ("int8", 2, "int8 x uint4, 16 bits, 2x2x4, slices of 2 bits"),
        ("pow2_4", None, "pow2_4 x uint4, 16 bits, 2x2x4"),
    ]
    assert list(plan.left_out) == ["pow2_4 weights have no slices; integers and bipolar ones have"]
    array = plan.points[1].shell().component.array
    element = array.elements[0][0].mac
    assert (array.geometry.slice, element.doubling) == (2, True)  # shifts between slices
    (narrow,) = read(ARRAY | {"formats": "int2/uint4", "slice": 2}).points
    assert not narrow.shell().component.array.elements[0][0].mac.doubling


def test_slices_neither_saturate_nor_take_blocks(read):
    change = {"slice": 2, "overflow": ["wrap", "saturate"], "multiplier": ["logic", "block"]}
    plan = read(ARRAY | {"formats": "int4/uint4"} | change)
    assert [(point.overflow, point.multiplier) for point in plan.points] == [("wrap", "logic")]
    reasons = " ".join(plan.left_out)
    assert "their accumulator wraps, it does not saturate" in reasons
    assert "slices are not multiplied in DSP blocks" in reasons


def test_the_network_of_a_plan_runs_in_slices(read):
    plan = read(NETWORK | {"network": ["mnist-lenet5-pow2_4", "mnist-int2-64-64-64"], "slice": 1})
    (point,) = plan.points
    assert point.geometry.slice == 1
    assert point.text == "mnist-int2-64-64-64, 2x2x4, slices of 1 bit"
    ((reason, _),) = plan.left_out.items()
    assert "pow2_4 weights have no slices" in reason


def test_what_cannot_be_is_left_out_and_named(read):
    plan = read(
        MAC | {"formats": ["bipolar", "int4"], "multiplier": "block", "target": ["up5k", "hx8k"]}
    )
    (point,) = plan.points
    assert (point.weight, point.target) == ("int4", "up5k")
    reasons = " ".join(plan.left_out)
    assert "bipolar weights are not multiplied" in reasons
    assert "hx8k has no DSP blocks" in reasons


def test_chains_that_do_not_divide_the_rows_are_left_out(read):
    plan = read(ARRAY | {"rows": [2, 3], "chains": [1, 2]})
    assert [(point.rows, point.chains) for point in plan.points] == [(2, 1), (2, 2), (3, 1)]
    ((reason, (text,)),) = plan.left_out.items()
    assert "2 does not divide 3" in reason
    assert "3x2x4" in text


@pytest.mark.parametrize("more", [{}, {"batch": 1}])
def test_so_are_the_networks_on_arrays_that_cannot_be(read, more):
    plan = read(NETWORK | {"rows": [3, 2], "chains": 2} | more)
    assert [(point.rows, point.chains) for point in plan.points] == [(2, 2)]
    assert plan.left_out == {
        "chains divide the rows: 2 does not divide 3": ("mnist-int2-64-64-64, 3x2x4, chains 2",)
    }


def test_an_array_of_floats_has_no_slices(read):
    plan = read(ARRAY | {"formats": ["bf16", "int4"], "slice": 2})
    assert [point.weight for point in plan.points] == ["int4"]
    assert list(plan.left_out) == ["bf16 weights have no slices; integers and bipolar ones have"]
    assert len(read(ARRAY | {"formats": ["bf16", "int4"]}).points) == 2


@pytest.mark.parametrize("measure", ["mac", "array"])
def test_what_is_not_left_out_can_be_made(read, measure):
    change = {
        "measure": measure,
        "formats": ["bipolar", "pow2_4/int8", "int8", "e4m3", "bf16", "int4/bf16"],
        "accumulator": [16, 48],
        "multiplier": ["logic", "block"],
        "overflow": ["wrap", "saturate"],
        "target": ["up5k", "ecp5-25k", "hx8k"],
    }
    plan = read(MAC | change)
    assert plan.left_out
    for point in plan.points:
        point.shell()


def test_networks_multiply_in_logic_or_in_blocks(read):
    networks = ["mnist-int2-64-64-64", "mnist-bipolar-64-64-64"]
    targets = ["up5k", "ecp5-25k", "hx8k"]
    change = {"network": networks, "multiplier": ["logic", "block"], "target": targets}
    plan = read(NETWORK | change)
    rows = [point.row().plain() for point in plan.points]
    assert [(row["weight"], row["multiplier"], row["target"]) for row in rows] == [
        *(("int2", "logic", target) for target in targets),
        *(("int2", "block", target) for target in targets[:2]),
        *(("bipolar", "logic", target) for target in targets),
    ]
    assert plan.points[3].text == "mnist-int2-64-64-64, 2x2x4, blocks"
    reasons = " ".join(plan.left_out)
    assert "hx8k has no DSP blocks" in reasons
    assert "bipolar weights are not multiplied" in reasons
    logic, ice40, ecp5 = (plan.points[index].build(Store(Path("nowhere"))) for index in (0, 3, 4))
    assert not logic.accelerator.implementation.fabric.blocks.used
    assert "SB_MAC16" not in logic.built.text
    assert "SB_MAC16" in ice40.built.text
    assert not ice40.built.dsp  # Yosys would spoil those that are there
    assert ecp5.accelerator.implementation.fabric.blocks.used
    assert ecp5.built.dsp
    with pytest.raises(NarrowgaugeError, match="they do not saturate"):
        read(NETWORK | {"multiplier": "block", "overflow": "saturate"})


def test_a_float_accumulates_in_a_float(read):
    plan = read(MAC | {"formats": ["bf16", "fp32"], "accumulator": [16, 32]})
    kept = [(point.weight, point.accumulator, point.overflow) for point in plan.points]
    assert kept == [("bf16", 16, None), ("bf16", 32, None), ("fp32", 32, None)]
    ((reason, _),) = plan.left_out.items()
    assert reason.startswith("fp32 is not accumulated in 16 bits")
    assert "overflow" not in plan.points[0].row().plain()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"formats": "int99"}, ["formats: ", "1 to 32", "99"]),
        ({"formats": "int4/float9"}, ["formats: unknown number format 'float9'", "bipolar"]),
        ({"formats": ["int4", 8]}, ["formats: 8 is no text", "WEIGHT/ACTIVATION"]),
        ({"formats": []}, ["formats: the list is empty"]),
        ({"target": "up6k"}, ["target: unknown target 'up6k'", "up5k"]),
        ({"target": ["up5k", "nope"]}, ["target: ", "'nope'"]),
        ({"accumulator": 1}, ["accumulator: it is 2 to 48, not 1"]),
        ({"accumulator": "16"}, ["accumulator: '16' is no whole number", "bits"]),
        ({"accumulator": True}, ["accumulator: True is no whole number"]),
        ({"overflow": "ignore"}, ["overflow: it is wrap or saturate, not 'ignore'"]),
        ({"multiplier": "dsp"}, ["multiplier: it is logic or block, not 'dsp'"]),
        ({"lanes": 0}, ["lanes: it is 1 to 1024, not 0"]),
        ({"seeds": [1, 2]}, ["seeds: [1, 2] is no whole number", "placements"]),
        ({"seeds": 101}, ["seeds: it is 0 to 100, not 101"]),
        ({"measure": "pe"}, ["measure: it is mac, array, network, scalable, not 'pe'"]),
        ({"measure": ["mac"]}, ["measure: it is mac, array, network, scalable, not ['mac']"]),
        ({"targets": "up5k"}, ["targets: there is no such key (is it target?)", "formats"]),
        ({"rows": 2}, ["rows: there is no such key", "measures mac"]),
        ({"title": 5}, ["title: 5 is no text"]),
        ({"part": 5}, ["part: parts are tables, each under a line [[part]]"]),
        ({"part": []}, ["part: parts are tables"]),
        ({"lanes": list(range(1, 1000)), "accumulator": list(range(2, 49))}, ["combinations"]),
        ({"formats": "bipolar", "multiplier": "block"}, ["nothing of it can be built", "bipolar"]),
    ],
)
def test_a_wrong_plan_is_told_in_a_line(read, change, words):
    with pytest.raises(NarrowgaugeError) as raised:
        read(MAC | change)
    text = str(raised.value)
    assert "mine.toml: " in text
    assert "\n" not in text
    for word in words:
        assert word in text
    if "combinations" in words:
        assert f"{LARGEST:,}" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"energy": 1, "images": 1}, ["energy: 1 is neither true nor false"]),
        ({"energy": True}, ["it needs images and seeds"]),
        ({"energy": True, "images": 1, "seeds": 0}, ["it needs images and seeds"]),
        ({"energy": True, "images": 1, "target": "ecp5-25k"}, ["no energy in microjoules"]),
    ],
)
def test_an_energy_needs_what_is_routed_and_images(read, change, words):
    with pytest.raises(NarrowgaugeError) as raised:
        read(NETWORK | change)
    assert all(word in str(raised.value) for word in words)


def test_a_plan_without_energy_keeps_its_results(read):
    (plain,), (asked,) = (read(NETWORK | {"images": 1} | more).points for more in ({}, ENERGY))
    assert "energy" not in plain.parts()
    assert asked.parts() == plain.parts() | ENERGY


@pytest.mark.parametrize("missing", ["measure", "formats", "accumulator", "target"])
def test_what_must_be_there_is_asked_for(read, missing):
    table = {name: value for name, value in MAC.items() if name != missing}
    with pytest.raises(NarrowgaugeError, match=rf"mine.toml: {missing} is missing: "):
        read(table)


def test_a_mistake_in_a_part_is_told_with_its_number(read):
    with pytest.raises(NarrowgaugeError, match=r"mine.toml: part 2: lanes: it is 1 to 1024"):
        read(f"{toml(MAC)}\n[[part]]\nlanes = 1\n[[part]]\nlanes = 0\n")
    with pytest.raises(NarrowgaugeError, match=r"mine.toml: target: unknown target"):
        read(f"{toml(MAC | {'target': 'x'})}\n[[part]]\nlanes = 1\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": "nope"}, ["network: no network 'nope'", "lenet5", "mnist-int2-64-64-64"]),
        ({"network": "mlp"}, ["network: mlp is trained, and formats say how"]),
        ({"formats": "int4"}, ["formats is for a network to train", "not for mnist-int2"]),
        ({"epochs": 3}, ["epochs is for a network to train"]),
        ({"network": "mlp", "formats": "int4", "dataset": "x"}, ["unknown data set 'x'", "digits"]),
        ({"network": "mlp", "formats": "int4", "widths": 5}, ["widths: 5 is no list"]),
        ({"network": "lenet5", "formats": "int4", "widths": [5]}, ["widths is for mlp", "lenet5"]),
        ({"network": "mlp", "formats": "int4", "width": "x"}, ["width: 'x' is no positive number"]),
        ({"network": "mlp", "formats": "int4", "first": "int99"}, ["int99"[3:], "1 to 32"]),
        ({"network": "mlp", "formats": "fp32/uint8"}, ["fp32 weights multiply float"]),
        ({"multiplier": "dsp"}, ["multiplier: it is logic or block, not 'dsp'"]),
        ({"batch": 5}, ["batch is 1 to the array's 2 rows, not 5"]),
        ({"contexts": 3}, ["contexts: it is 1 to 2, not 3"]),
    ],
)
def test_a_wrong_network_is_told_in_a_line(read, change, words):
    with pytest.raises(NarrowgaugeError) as raised:
        read(NETWORK | change)
    assert "mine.toml: " in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_networks_are_of_the_zoo_or_trained(read):
    trained = {"network": "mlp", "formats": ["bipolar", "int4"], "widths": [8], "epochs": 1}
    plan = read(
        f"measure = 'network'\ntarget = 'up5k'\n[[part]]\nnetwork = 'mnist-int2-64-64-64'\n"
        f"[[part]]\n{toml(trained)}\n"
    )
    rows = [point.row().plain() for point in plan.points]
    assert [(row["weight"], row["dataset"]) for row in rows] == [
        *(("int2", "mnist"), ("bipolar", "digits"), ("int4", "digits")),
    ]
    assert str(plan.points[1].source) == "mlp on digits, bipolar x bipolar"


@pytest.mark.parametrize(("asked", "overflow"), [({}, "saturate"), ({"overflow": "wrap"}, "wrap")])
def test_a_network_file_keeps_what_its_accumulator_does(read, tmp_path, asked, overflow):
    write_network(tmp_path / "n.safetensors", bits=8, overflow="saturate")
    (point,) = read(NETWORK | {"network": "n.safetensors"} | asked).points
    program = point.build(Store(tmp_path / "store")).accelerator.program
    assert program.network.accumulator == Accumulator(8, overflow)
    assert point.row().overflow == overflow


@pytest.mark.parametrize("content", [b"formats = [", b"\xff\xfe", b"measure = mac"])
def test_a_file_that_is_not_toml(tmp_path, content):
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(NarrowgaugeError, match=r"mine.toml: not TOML: "):
        read_plan(tmp_path / "mine.toml")


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(NarrowgaugeError, match="cannot read the plan"):
            read_plan(path)


@pytest.mark.parametrize("number", range(3))
def test_the_plans_of_the_documentation_are_right(read, number):
    page = Path(__file__).parents[3] / "docs" / "sweeps.md"
    shown = re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    assert len(shown) == 3
    plan = read(shown[number])
    assert len(plan.points) == (12, 4, 3)[number]
    assert not plan.left_out


@pytest.mark.parametrize("name", NAMES)
def test_the_plans_that_come_along_are_right(name):
    plan = read_plan(PLANS / f"{name}.toml")
    assert plan.points
    assert plan.name == name


def test_the_comparison_of_macs_has_what_is_compared():
    points = read_plan(PLANS / "macs.toml").points
    rows = [point.row().plain() for point in points if point.seeds == 3]
    formats = {"bipolar", "pow2_4", "int2", "int4", "int8", "int16", "e3m2", "e4m3", "bf16", "fp32"}
    targets = {"up5k", "hx8k", "ecp5-25k", "gw1n-9", "xc7"}
    found = {(row["weight"], row["accumulator_bits"], row["target"]) for row in rows}
    wanted = {(name, bits, target) for name in formats for bits in (16, 32) for target in targets}
    assert found == wanted - {("fp32", 16, target) for target in targets}


def test_elements_are_of_one_size(read):
    plan = read_plan(PLANS / "scalable.toml")
    rows = [point.row() for point in plan.points if point.target == "up5k" and point.seeds]
    assert len(rows) == 16
    assert all(row.products for row in rows)
    products = {(row.structure, row.slice or row.weight): row.products or {} for row in rows}
    assert {found.get("int8 x uint8", 2) for found in products.values()} == {2}
    assert products["both", 2]["int2 x uint2"] == products["bits", 1]["int2 x uint2"] == 32
    assert products["serial", 4]["int2 x uint2"] == products["together", 4]["int4 x uint8"] == 4
    assert set(products["whole", "int4"]) == set(products["serial", 2]) - {"int8 x uint8"}
    other = {"measure": "scalable", "element": ["bits", "both"], "slice": [2, 1], "accumulator": 24}
    plan = read(other | {"target": "up5k"})
    assert [point.text for point in plan.points] == [
        "bits, slices of 1 bit, 24 bits, work 128",
        "both, slices of 2 bits, 24 bits, work 128",
        "both, slices of 1 bit, 24 bits, work 128",
    ]
    assert list(plan.left_out) == ["slices of this kind have 1 bit, not 2"]


def test_every_key_says_what_it_takes():
    assert all(key.takes for keys in KEYS.values() for key in keys.values())
