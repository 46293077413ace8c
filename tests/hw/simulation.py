"""Running a component in Amaranth's simulator."""

from amaranth.sim import Simulator


def run(component, testbench, *background):
    """Run ``testbench`` to its end on a clock of 1 us."""
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    for other in background:
        simulator.add_testbench(other, background=True)
    simulator.run()


def clocked(component, drive, sample, inputs, latency):
    """Feed one of ``inputs`` a cycle and return what ``sample`` sees ``latency`` cycles later."""
    seen = []

    async def testbench(ctx):
        for cycle in range(len(inputs) + latency):
            if cycle < len(inputs):
                drive(ctx, inputs[cycle])
            if cycle >= latency:
                seen.append(sample(ctx))
            await ctx.tick()

    run(component, testbench)
    return seen
