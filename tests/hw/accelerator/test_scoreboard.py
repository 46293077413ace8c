"""The scoreboard alone, in a world of parts that take their time."""

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Batch
from narrowgauge.hw.accelerator.scoreboard import Scoreboard, ScoreboardConfig

from ...formal.proof import edit
from ..simulation import run

BATCH = 3
CYCLES, LOADED = 400, 30  # from when on the weights are there


@dataclass
class Context:
    """What a context must do next, told from what the world has done."""

    layer: int = 0
    loaded: bool = False  # its input area holds a batch
    busy: bool = False
    full: bool = False  # its output area holds one
    waiting: tuple = (0, 0)  # count of images and first image of the batch in the input area
    running: tuple = (0, 0)
    done: tuple = (0, 0)

    def ready(self, config):
        free = self.layer < config.layers - 1 or not self.full
        return not self.busy and free and (self.layer > 0 or self.loaded)


@dataclass
class World:
    """Loader, feeder, writer, pool and emitter, which take their time.

    ``faults`` has a line for each thing that the scoreboard said and the contexts do not.
    """

    config: ScoreboardConfig
    chance: random.Random
    pools: frozenset
    contexts: list = field(default_factory=list)
    fetching: deque = field(default_factory=deque)
    computing: deque = field(default_factory=deque)
    pooling: deque = field(default_factory=deque)
    next_context: int = 0
    emitting: int = 0
    batches: int = 0
    taken: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    together: int = 0  # cycles in which both the array and the max pool end a job

    def __post_init__(self):
        self.contexts = [Context() for _ in range(self.config.contexts)]

    @property
    def starving(self):
        """Contexts that got few jobs."""
        jobs = [context for context, _ in self.taken]
        return [index for index in range(self.config.contexts) if jobs.count(index) <= 8]

    def happens(self, probability=0.3):
        return self.chance.random() < probability

    def check(self, seen):
        """Compare what the scoreboard says in this cycle."""
        for index, context in enumerate(self.contexts):
            pairs = {"loaded": context.loaded}
            if context.busy:
                pairs["running"] = context.running
            self.faults += [
                f"{name} of {index} is {seen[name][index]}, not {right}"
                for name, right in pairs.items()
                if seen[name][index] != right
            ]
        turn = self.contexts[self.emitting]
        right = (self.emitting, turn.done) if turn.full else None
        if seen["emitting"] != right:
            self.faults.append(f"emits {seen['emitting']}, not {right}")
        if seen["job"]:
            index, layer = seen["job"]
            context = self.contexts[index]
            if not context.ready(self.config) or layer != context.layer:
                self.faults.append(f"offers layer {layer} of {index}: {context}")

    def act(self, seen):
        """Let the parts do something; return what they tell the scoreboard."""
        events = {}
        # the array and the max pool do not wait for each other
        for name, queue in (("written", self.computing), ("pooled", self.pooling)):
            if queue and self.happens():
                events[name] = queue.popleft()
        if self.fetching and self.happens():
            index, layer = events["fetched"] = self.fetching.popleft()
            (self.pooling if layer in self.pools else self.computing).append((index, layer))
        loading = self.contexts[self.next_context]
        if not loading.loaded and self.happens():
            self.batches += 1
            events["loaded"] = self.next_context, (self.batches % BATCH + 1, self.batches)
            self.next_context = (self.next_context + 1) % len(self.contexts)
        if seen["emits"] and seen["emitting"]:
            events["emitted"] = seen["emitting"][0]
        if seen["job"] and not self.fetching and self.happens(0.7):
            events["take"] = seen["job"]
            self.fetching.append(seen["job"])
            self.taken.append(seen["job"])
        return events

    def follow(self, events):
        """Do to the contexts what the events mean."""
        last = self.config.layers - 1
        if job := events.get("fetched"):
            index, layer = job
            if layer == self.config.last_input_layer:
                self.contexts[index].loaded = False
        if job := events.get("take"):
            context = self.contexts[job[0]]
            context.busy = True
            if job[1] == 0:
                context.running = context.waiting
        if batch := events.get("loaded"):
            context = self.contexts[batch[0]]
            context.loaded, context.waiting = True, batch[1]
        if "emitted" in events:
            self.contexts[events["emitted"]].full = False
            self.emitting = (self.emitting + 1) % len(self.contexts)
        for job in filter(None, (events.get("written"), events.get("pooled"))):
            context = self.contexts[job[0]]
            context.busy, context.layer = False, context.layer + 1
            if job[1] == last:
                context.layer, context.full, context.done = 0, True, context.running


def look(ctx, board, world):
    """What the scoreboard says; the areas to be emitted in this cycle are taken."""
    contexts = range(board.config.contexts)
    jobs, batches = board.jobs, board.batches
    emits = world.happens(0.1)
    ctx.set(batches.ready, emits)
    emitting = None

    def numbers(batch):
        return ctx.get(batch.count), ctx.get(batch.image)

    if ctx.get(batches.valid):
        emitting = ctx.get(batches.payload.context), numbers(batches.payload.batch)
    return {
        "job": (ctx.get(jobs.payload.context), ctx.get(jobs.payload.layer))
        if ctx.get(jobs.valid)
        else None,
        "loaded": [bool(ctx.get(board.o_loaded) >> index & 1) for index in contexts],
        "running": [numbers(board.o_running[index]) for index in contexts],
        "emitting": emitting,
        "emits": emits,
    }


def tell(ctx, board, events):
    """Drive the scoreboard's inputs."""

    def give(to, job):
        ctx.set(to.valid, job is not None)
        if job:
            ctx.set(to.payload, {"context": job[0], "layer": job[1]})

    for name in ("fetched", "written", "pooled"):
        give(getattr(board, name), events.get(name))
    ctx.set(board.jobs.ready, "take" in events)
    ctx.set(board.loaded.valid, "loaded" in events)
    if "loaded" in events:
        context, (count, number) = events["loaded"]
        batch = {"count": count, "image": number}
        ctx.set(board.loaded.payload, {"context": context, "batch": batch})


def play(config, seed, pools=frozenset()):
    """Return a world after some hundred cycles with a scoreboard in it."""
    board, world = Scoreboard(config), World(config, random.Random(seed), pools)

    async def testbench(ctx):
        for cycle in range(CYCLES):
            ctx.set(board.i_enable, cycle >= LOADED)
            seen = look(ctx, board, world)
            if seen["job"] and cycle < LOADED:
                world.faults.append("offers a job without weights")
            world.check(seen)
            events = world.act(seen)
            world.together += "written" in events and "pooled" in events
            tell(ctx, board, events)
            await ctx.tick()
            world.follow(events)

    run(board, testbench)
    return world


@st.composite
def configs(draw):
    layers = draw(st.integers(1, 4))
    last_input = draw(st.integers(0, layers - 1))
    return ScoreboardConfig(draw(st.integers(1, 2)), layers, last_input, Batch(BATCH))


@settings(max_examples=20)
@given(configs(), st.sets(st.integers(0, 2)), st.integers(0, 99))
def test_jobs_are_offered_when_they_may_start(config, pools, seed):
    world = play(config, seed, frozenset(pools - {config.layers - 1}))
    assert not world.faults
    assert not world.starving
    for index in range(config.contexts):
        layers = [layer for context, layer in world.taken if context == index]
        assert layers == [number % config.layers for number in range(len(layers))]


def test_contexts_take_turns():
    """Where both may go on, the one goes that went less recently."""
    world = play(ScoreboardConfig(2, 3, 0, Batch(BATCH)), 0)
    turns = sum(
        one[0] != other[0] for one, other in zip(world.taken, world.taken[1:], strict=False)
    )
    assert turns > 0.8 * len(world.taken)


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_context", "& ((layer != output) | ~full)", ""),
        ("_context", "== self.config.last_input_layer", "== 0"),
        ("_context", "done.eq(running)", "done.eq(waiting)"),
        ("elaborate", "offered & self.i_enable", "offered"),
        ("elaborate", "& ~take", ""),
        ("_context", "running.eq(waiting)", "running.count.eq(waiting.count)"),
        ("_context", "| mine(self.pooled)", "| (mine(self.pooled) & ~self.written.valid)"),
        ("_context", "events.payload.context", "self.written.payload.context"),
    ],
    ids=["overwrites outputs", "input read later is lost", "the next batch", "without weights",
         "offered twice", "images of no number", "both at once", "a pool's job is another's"],
)  # fmt: skip
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config, pools = ScoreboardConfig(2, 3, 1, Batch(BATCH)), frozenset({1})
    world = play(config, 3, pools)
    assert not world.faults
    assert not world.starving
    assert world.together
    edit(monkeypatch, Scoreboard, method, old, new)
    world = play(config, 3, pools)
    assert world.faults or world.starving
