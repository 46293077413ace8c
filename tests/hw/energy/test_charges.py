"""Toggles and wires of an accelerator that is placed and routed, joined by net."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from narrowgauge.hw.energy.charges import CONSTANT, INSIDE, OUTSIDE, charges, place_accelerator
from narrowgauge.hw.energy.unshelled import without_shell
from narrowgauge.hw.energy.wires import Wires, net_wires
from narrowgauge.hw.errors import MismatchError, ToolError
from narrowgauge.hw.sim.batch.activity import count_toggles
from narrowgauge.hw.sim.run import Stimulus
from narrowgauge.hw.synth.shell import Shell
from narrowgauge.hw.synth.targets import target
from narrowgauge.hw.tools.store import Store
from narrowgauge.model.integers.reference import evaluate

from ..sim.planted import planted
from ..sim.test_activity import small
from ..sim.test_engines import images_for, needs_compiler
from .waveforms import toggles_in_waveforms

pytestmark = [needs_compiler, pytest.mark.slow]


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    """An accelerator in its shell, placed and routed."""
    store = Store(tmp_path_factory.mktemp("store") / "results.sqlite")
    return place_accelerator(small(), target("up5k"), store=store)


def work(design, count):
    """Codes of images, and what comes out."""
    images = images_for(design, count)
    return Stimulus(images).codes(design), evaluate(
        design.program.network, images, 2
    ).levels.numpy()


def test_toggles_are_those_in_waveforms_of_the_same_netlist(routed, tmp_path):
    """Of every bit; with a twin that drops some."""
    shell, placed = routed
    netlist = without_shell(placed.netlist, shell)
    codes, levels = work(shell.component, 1)

    def counted():
        found = count_toggles(shell.component, codes, levels, netlist=netlist, family="ice40")
        return found.cycles, {bit: each.toggles for bit, each in found.bits.items()}

    cycles, ours = counted()
    wanted = toggles_in_waveforms(netlist, codes.ravel().tolist(), cycles, tmp_path)
    wanted = {bit: wanted[bit] for bit in ours}
    assert len(ours) > 1400
    assert sum(ours.values()) > 3000
    assert ours == wanted
    right = "job->toggles[slot] += count((s[slot] ^ before[slot])"
    with planted(right, f"if (slot % 97) {right}"):
        assert counted()[1] != wanted


def test_every_net_is_joined_or_told_apart(routed):
    shell, placed = routed
    found = charges(shell, placed, *work(shell.component, 3))
    wires, names = net_wires(placed.text), [net.net for net in found.nets]
    apart = found.apart
    assert Counter([*names, *apart[CONSTANT], *apart[OUTSIDE]]) == Counter(wires.keys())
    assert len(names) > 1000
    assert {net.wires for net in found.nets if not net.toggles} - {Wires()}
    assert not [name for name in apart[OUTSIDE] if name.startswith("component.")]
    assert not set(apart[INSIDE]) & set(wires)
    assert len(names) + len(apart[INSIDE]) >= len(found.activity.bits)
    # what nextpnr puts before a chain of carries hands on the value of a net
    top, toggles = json.loads(placed.text)["modules"]["top"], {n.net: n.toggles for n in found.nets}
    bits = {wire["bits"][0]: name for name, wire in top["netnames"].items()}
    handed = [name for name in names if name.startswith("$nextpnr_ICESTORM_LC_")]
    given = [top["cells"][name.partition("$O")[0]]["connections"]["I1"] for name in handed]
    assert [toggles[name] for name in handed] == [toggles[bits[bit]] for (bit,) in given]
    assert handed


def test_charges_are_toggles_times_wires(routed):
    """The twins: toggles counted twice, and spans taken for local wires."""
    shell, placed = routed
    found = charges(shell, placed, *work(shell.component, 3))
    total = Counter()
    for net in found.nets:
        total.update({kind: net.toggles * number for kind, number in vars(net.wires).items()})
    charged = found.charged()
    assert sum((Counter(kinds) for kinds in charged.values()), Counter()) == +total
    assert {"array", "feeder", "levels", "activations", "inputs"} <= charged.keys()
    array = [net for net in found.nets if net.component == "array"]
    assert charged["array"]["span4"] == sum(net.toggles * net.wires.span4 for net in array) > 1000
    twice = [replace(net, toggles=2 * net.toggles) for net in found.nets]
    local = [replace(net, wires=Wires(local=sum(vars(net.wires).values()))) for net in found.nets]
    for planted_error in (twice, local):
        assert replace(found, nets=tuple(planted_error)).charged() != charged


def test_accesses_are_those_of_rtl(routed):
    shell, placed = routed
    design, given = shell.component, work(shell.component, 3)
    found = charges(shell, placed, *given)
    rtl = {memory.component: memory for memory in count_toggles(design, *given).memories}
    (use,) = found.memories
    assert (use.component, use.kind) == ("activations", "bram")
    assert found.cycles == 3 * design.cycles.per_image < found.activity.cycles
    (mapped,) = found.activity.memories
    assert mapped.writes == rtl["activations"].writes > 0
    assert mapped.reads == found.activity.cycles  # its port has no enable
    assert use.accesses == found.cycles + mapped.writes


def test_changes_of_groups_are_counted(routed):
    """Of a bit they are its toggles; of several, they are at least those of each."""
    shell, placed = routed
    netlist = without_shell(placed.netlist, shell)
    ports = json.loads(netlist)["modules"]["top"]["ports"]
    level = ports["o__payload"]["bits"]
    groups = {"all": level, **{str(bit): [bit] for bit in level}}
    codes, levels = work(shell.component, 20)
    found = count_toggles(
        shell.component, codes, levels, netlist=netlist, family="ice40", groups=groups
    )
    single = [found.bits[bit].toggles for bit in level]
    assert [found.changes[str(bit)] for bit in level] == single
    assert max(single) <= found.changes["all"] < sum(single)


def test_another_netlist_is_refused(routed):
    shell, placed = routed
    with pytest.raises(ToolError, match="not that of this shell"):
        without_shell(placed.netlist, Shell(small(any_weights=True)))
    strange = placed.text.replace('"component.array.', '"component.other.')
    with pytest.raises(ToolError, match=r"net component\.other\..*, which the mapped netlist"):
        charges(shell, replace(placed, text=strange), *work(shell.component, 1))
    codes, levels = work(shell.component, 3)
    with pytest.raises(MismatchError, match="gives other levels"):
        charges(shell, placed, codes, levels[::-1])
