import random

import pytest

from narrowgauge.hw.gates.stream import SkidBuffer

from ..simulation import run


@pytest.mark.parametrize(("gaps", "stalls"), [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.6)])
def test_a_skid_buffer_loses_and_repeats_nothing(gaps, stalls):
    queue, chance, sent, taken = SkidBuffer(8), random.Random(3), list(range(200)), []
    held = None

    async def feed(ctx):
        for value in sent:
            while chance.random() < gaps:
                await ctx.tick()
            ctx.set(queue.i.payload, value)
            ctx.set(queue.i.valid, 1)
            await ctx.tick().until(queue.i.ready)
            ctx.set(queue.i.valid, 0)

    async def drain(ctx):
        nonlocal held
        for _ in range(5000):
            ready = chance.random() >= stalls
            ctx.set(queue.o.ready, ready)
            *_, valid, payload = await ctx.tick().sample(queue.o.valid, queue.o.payload)
            if held is not None:
                assert (valid, payload) == (1, held), "valid and payload hold until taken"
            held = payload if valid and not ready else None
            if valid and ready:
                taken.append(payload)
            if len(taken) == len(sent):
                return
        pytest.fail("timeout")

    run(queue, drain, feed)
    assert taken == sent
