"""Toggles are those that the interpreted engine's waveforms show."""

from collections import Counter

import numpy as np
import pytest

from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.hw.sim.batch.activity import count_toggles
from narrowgauge.hw.sim.interpreted import AmaranthEngine
from narrowgauge.hw.sim.run import CycleWindow, Stimulus
from narrowgauge.model.integers.reference import evaluate

from ..networks import random_network
from .planted import planted
from .test_engines import images_for, needs_compiler

CYCLE = 1_000_000_000  # femtoseconds


def small(batch=1, **options):
    network = random_network(4, ("int4", "uint4", "uint4"), (5, 3, 2), Accumulator(12))
    return Accelerator(Program(network, Geometry(batch, 2, 2), batch=batch, **options))


def in_waveforms(path, start, stop):
    """Toggles of signals, by module, name and bits: of what they are at the clock's edges."""
    names, scope, now, before, found = {}, [], {}, {}, Counter()
    edge = 0
    for line in path.read_text().splitlines():
        words = line.split()
        if words[0] == "$scope":
            scope.append(words[2])
        elif words[0] == "$upscope":
            scope.pop()
        elif words[0] == "$var":
            if scope[2:3] == ["accelerator"]:  # beside it is the trace
                names[words[3]] = ".".join(scope[3:]), words[4], int(words[2])
        elif line.startswith("#"):
            while edge < stop and edge * CYCLE + CYCLE // 2 <= int(line[1:]):
                for key in now.keys() & names.keys() if edge > start else ():
                    found[names[key]] += (now[key] ^ before[key]).bit_count()
                before = dict(now)
                edge += 1
        elif line.startswith("b"):
            now[words[1]] = int(words[0][1:], 2)
        elif line[0] in "01":
            now[line[1:]] = int(line[0])
    return found


def counted(design, images):
    levels = evaluate(design.program.network, images, 2).levels.numpy()
    return count_toggles(design, Stimulus(images).codes(design), levels)


def by_name(found):
    return {(net.module, net.name, net.bits): net.toggles for net in found.nets}


def shown(design, streams, folder, start=0):
    """Toggles in the waveforms of streams of images from a cycle on, and the cycles of all."""
    toggles, cycles = Counter(), 0
    for images in streams:
        window = CycleWindow(folder / "waves.vcd", 0, 10_000)
        run = AmaranthEngine(design).run(Stimulus(images, window=window))
        toggles.update(in_waveforms(window.path, start, start + run.cycles))
        cycles += run.cycles
    return toggles, cycles


def assert_shown(found, wanted):
    """Signals in waveforms also have bits on which nothing depends; then they are left out."""
    ours = by_name(found)
    both = ours.keys() & wanted.keys()
    assert len(both) > 150
    assert {key: ours[key] for key in both} == {key: wanted[key] for key in both}


@needs_compiler
def test_toggles_are_those_in_waveforms(tmp_path):
    """Of three images in lanes, those of three runs; with a planted twin."""
    design = small()
    images = images_for(design, 3)
    wanted, cycles = shown(design, np.split(images, 3), tmp_path)
    found = counted(design, images)
    assert (found.images, found.cycles) == (3, cycles)
    assert_shown(found, wanted)
    assert {"array", "weights", "feeder", "levels", "clock"} <= set(found.components)
    assert found.components["clock"] == 2 * found.cycles * found.registers

    right = "job->toggles[slot] += count((s[slot] ^ before[slot])"
    for wrong in (right.replace("^ ", "& ~"), f"if (slot % 7) {right}"):  # some are not counted
        with planted(right, wrong), pytest.raises(AssertionError, match="=="):
            assert_shown(counted(design, images), wanted)


@needs_compiler
def test_images_that_do_not_fill_their_lanes_have_one_of_their_own(tmp_path):
    """Of three in twos, those of a run of two and a run of one; of 513, of three parts."""
    design = small(batch=2)
    images = images_for(design, 513)
    wanted, cycles = shown(design, (images[:2], images[2:3]), tmp_path)
    found = counted(design, images[:3])
    assert (found.images, found.cycles) == (3, cycles)
    assert_shown(found, wanted)

    found = counted(design, images)
    lanes = np.arange(512).reshape(2, -1)  # two images each
    halves = [lanes[:, part].ravel() for part in (slice(0, 100), slice(100, None))]
    parts = [counted(design, images[part]) for part in (*halves, [512])]
    assert found.images == 513
    assert found.cycles == sum(part.cycles for part in parts)
    together = Counter()
    for part in parts:
        together.update(by_name(part))
    assert by_name(found) == together


@needs_compiler
def test_counting_begins_when_weights_have_been_loaded(tmp_path):
    design = small(any_weights=True)
    images = images_for(design, 2)
    found = counted(design, images)
    words = len(design.program.contents.weights)
    wanted, cycles = shown(design, np.split(images, 2), tmp_path, start=words)
    assert found.cycles == cycles
    assert_shown(found, wanted)
    with pytest.raises(AssertionError, match="=="):  # the twin: loading counts
        assert_shown(found, shown(design, np.split(images, 2), tmp_path)[0])
