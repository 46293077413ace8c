"""Numbers of overflows are compared, too."""

from dataclasses import replace

import pytest

from narrowgauge.scripts.runs import checked

from ...hw.sim.test_engines import accelerator, images_for, needs_compiler


@pytest.mark.parametrize("traced", [0, 1])
def test_other_overflows_of_images_that_are_not_traced_are_a_difference(traced, monkeypatch):
    design, true = accelerator(), checked.reference
    levels = images_for(design, 3)

    def run():
        return checked.simulate_and_compare(design, levels, "amaranth", traced=traced)

    simulated, comparison, _ = run()
    assert comparison.first is None
    assert sum(simulated.overflows)

    def one_more(*arguments):
        found = true(*arguments)
        first, *others = found.overflows
        return replace(found, overflows=(first, others[0] + 1, *others[1:]))

    monkeypatch.setattr(checked, "reference", one_more)
    simulated, comparison, expected = run()
    assert str(comparison.first) == (
        "first difference: overflows of layer layer1, all images: "
        f"{simulated.overflows[1]} in hardware, {expected.overflows[1]} in the reference"
    )
    assert (comparison.mismatches, comparison.traced) == (0, traced)


@needs_compiler
def test_so_are_they_of_images_side_by_side(monkeypatch):
    design, true = accelerator(), checked.simulate_whole
    levels = images_for(design, 3)
    assert checked.simulate_and_compare(design, levels, "batch", traced=1)[1]

    def one_less(*arguments):
        run, comparison, whole = true(*arguments)
        first, *others = whole.overflows
        return run, comparison, replace(whole, overflows=(first - 1, *others))

    monkeypatch.setattr(checked, "simulate_whole", one_less)
    _, comparison, _ = checked.simulate_and_compare(design, levels, "batch", traced=1)
    assert "overflows of layer layer0, all images" in str(comparison.first)
