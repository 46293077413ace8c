"""One simulation: a plan, images in lanes, and what comes out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...accelerator.top import Accelerator
from ...accelerator.traced import entry_layout
from ...errors import MismatchError
from .design import Design, Ports
from .lanes import Share
from .native import Native, pack_rows
from .plan import Plan
from .portable import Portable

__all__ = [
    "EVENT",
    "Pass",
    "Signals",
    "Simulator",
    "Timing",
    "packed_weights",
    "trace_bytes",
]

IDLE_LIMIT = 100_000
STOPPED = 3

EVENT = np.dtype(
    [
        ("cycle", np.uint64),
        ("image", np.uint32),
        ("element", np.uint32),
        ("layer", np.uint32),
        ("chain", np.uint32),
    ]
)
"""When a partial sum left, and which one it is; the layout is shared with ``streams.cc``."""


class Signals:
    """Shared state of the threads: a request to stop, and the elements that each has taken."""

    def __init__(self, passes: int):
        self.stop = np.zeros(1, np.uint32)
        self.progress = np.zeros(passes + 1, np.uint64)


@dataclass(frozen=True, eq=False)
class Timing:
    """The stream of all images, cycle by cycle: what it is, whatever they hold.

    ``events`` are those of the images that were asked for.
    """

    cycles: int
    steps: int
    layer_cycles: np.ndarray
    events: np.ndarray


@dataclass(frozen=True, eq=False)
class Pass:
    """Results of a pass.

    Attributes
    ----------
    share : Share
    levels : int64 array of shape (images, outputs)
    labels : int64 array of shape (images,), or (images, outputs of the network)
    overflows : array of shape (layers,)
    cycles : int
        Of the pass.
    events : EVENT array
        Sums that were traced; ``image`` is the place in the lane.
    sums, values : array of shape (events, lanes of the vector)
        The sums, and their levels.
    flags : uint64 array of shape (events, words of the vector)
        Their overflows, one bit a lane.
    """

    share: Share
    levels: np.ndarray
    labels: np.ndarray
    overflows: np.ndarray
    cycles: int
    events: np.ndarray
    sums: np.ndarray
    values: np.ndarray
    flags: np.ndarray

    def stage(self, stage: str, events: np.ndarray) -> np.ndarray:
        """Return what some sums were at a stage: ``sum``, ``overflow`` or ``level``.

        Returns
        -------
        array of shape (events, lanes of the vector)
        """
        if stage != "overflow":
            return (self.sums if stage == "sum" else self.values)[events]
        octets = self.flags[events].astype("<u8", copy=False).view(np.uint8)
        return np.unpackbits(octets, axis=1, bitorder="little").view(bool)

    def without_trace(self) -> "Pass":
        """Return it without its sums, which are large."""
        none = np.zeros((0, self.share.width), np.int8)
        return replace(self, events=self.events[:0], sums=none, values=none, flags=self.flags[:0])


class Simulator:
    """Runs an accelerator's plans.

    Parameters
    ----------
    accelerator : Accelerator
    design : Design
        The accelerator's.
    width : int
        Images of a vector.
    compiled : bool
        Take the evaluator in C++, not the one in NumPy.
    """

    def __init__(
        self, accelerator: Accelerator, design: Design, width: int, *, compiled: bool = True
    ):
        program = accelerator.program
        self.accelerator, self.design, self.width = accelerator, design, width
        self._evaluator = Native if compiled else Portable
        self._whole = self._evaluator(design.whole, width)
        self._streams = _streams(design.ports, design.whole, accelerator, values=True)
        # of an image, if nothing was done at the same time as something else
        jobs = [program.cycles.fetch(r) + program.cycles.compute(r) for r in program.records]
        streams = program.plane_words * program.geometry.lanes * program.input_planes
        self._cycles = sum(jobs) + 4 * (streams + program.network.outputs)
        self._types = _trace_types(accelerator)

    def run(self, share: Share, codes: np.ndarray, traced: int, signals: Signals, at: int) -> Pass:
        """Simulate a pass.

        Parameters
        ----------
        share : Share
        codes : int array of shape (images, inputs)
            Of the images of the pass.
        traced : int
            Images of the pass, from its first, of which every sum is kept.
        signals : Signals
        at : int
            Number of the pass, for its progress.

        Raises
        ------
        MismatchError
            When the accelerator stands still, or gives more than there is.
        """
        program, ports = self.accelerator.program, self.design.ports
        network, words = program.network, self.width // 64
        outputs, ends = network.outputs, len(network.ends)
        places = min(share.length, -(-traced // share.lanes))
        limit = places * program.sums
        events = np.zeros(limit, EVENT)
        sums, values = (np.empty((limit, self.width), each) for each in self._types)
        flags = np.zeros((limit, words), np.uint64)
        levels = np.zeros((share.length * outputs, len(ports.level), words), np.uint64)
        labels = np.zeros((share.length * ends, len(ports.label), words), np.uint64)
        stimulus, masks = self._whole.pack(share, codes, len(ports.code)), share.masks()
        overflows = np.zeros(1 << len(ports.layer), np.uint64)
        reply = self._simulate(
            (self._whole, self._streams),
            share.length,
            signals,
            at,
            codes=stimulus,
            masks=masks,
            levels=levels,
            labels=labels,
            overflows=overflows,
            events=events,
            event_limit=limit,
            traced=places,
            sums=sums,
            values=values,
            sum_bytes=sums.itemsize,
            level_bytes=values.itemsize,
            flags=flags,
        )
        raw, classes = (
            self._whole.unpack(bits).reshape(share.length, count, self.width)
            for bits, count in ((levels, outputs), (labels, ends))
        )
        return Pass(
            share=share,
            levels=network.output.to_level(share.gather(raw)),
            labels=share.gather(classes).reshape(network.label_shape(share.images)),
            overflows=overflows[: len(network.layers)].astype(np.int64),
            cycles=reply.cycles,
            events=events[: reply.events],
            sums=sums,
            values=values,
            flags=flags,
        )

    def time(self, images: int, traced: range, signals: Signals) -> Timing:
        """Simulate the control of a single stream of images, which decides its cycles.

        Where the state is one that was there before, all repeats until the input ends, or until
        the images come whose sums are asked for: that is counted and not simulated.
        """
        design, program = self.design, self.accelerator.program
        events = np.zeros(len(traced) * program.sums, EVENT)
        streams = _streams(design.ports, design.timing, self.accelerator, values=False)
        layer_cycles = np.zeros(1 << len(design.ports.layer), np.uint64)
        # sums may be ahead of what has left by as many images as are in flight
        skipped = max(0, traced.start - 2 * program.images) if traced else images
        reply = self._simulate(
            (self._evaluator(design.timing, 64), streams),
            images,
            signals,
            -1,
            layer_cycles=layer_cycles,
            events=events,
            event_limit=events.size,
            traced_start=traced.start,
            traced=traced.stop,
            periodic=design.periodic,
            periodic_count=design.periodic.size,
            skip_stop=skipped,
        )
        layers = len(program.network.layers)
        cycles = layer_cycles[:layers].astype(np.int64)
        return Timing(reply.cycles, reply.steps, cycles, events[: reply.events])

    def _simulate(self, parts: tuple, images: int, signals: Signals, at: int, **job: Any) -> Any:
        evaluator, streams = parts
        program = self.accelerator.program
        layer_cycles = np.zeros(1 << len(self.design.ports.layer), np.uint64)
        weights = packed_weights(self.accelerator)
        request = {
            "elements": images * program.network.inputs,
            "inputs": program.network.inputs,
            "images": images,
            "results": images * program.network.outputs,
            "ends": len(program.network.ends),
            "idle_limit": IDLE_LIMIT + program.cycles.longest_job,
            "work_limit": IDLE_LIMIT + 4 * images * self._cycles,
            "weights": weights,
            "weight_words": len(weights),
            "stop": signals.stop,
            "progress": signals.progress[at:],
            "layer_cycles": layer_cycles,
        }
        request |= job
        status, reply = evaluator.simulate(streams, request)
        if status == STOPPED:
            raise KeyboardInterrupt
        if status == 4:
            raise MismatchError(
                f"the accelerator was not done after {request['work_limit']} cycles, with "
                f"{reply.emitted} of {request['results']} levels"
            )
        if status == 1:
            raise MismatchError(
                f"the accelerator stood still for {request['idle_limit']} cycles after "
                f"{reply.accepted} of {request['elements']} elements and {reply.emitted} of "
                f"{request['results']} levels"
            )
        if status or reply.overflowing or reply.images != images:
            raise MismatchError(
                f"{reply.images} last levels and {reply.events + reply.overflowing} sums came for "
                f"{images} images"
            )
        return reply


def packed_weights(accelerator: Accelerator) -> np.ndarray:
    """Return the words that are loaded before the first image, as `Native.simulate` takes them."""
    if not accelerator.loads_weights:
        return np.zeros((0, 1), np.uint64)
    program = accelerator.program
    return pack_rows(_bits(program.contents.weights, program.memories["weights"][0]))


def _bits(words: list[int], width: int) -> np.ndarray:
    """Return words as rows of bits, the lowest first."""
    octets = b"".join(word.to_bytes(-(-width // 8), "little") for word in words)
    rows = np.frombuffer(octets, np.uint8).reshape(len(words), -1)
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :width]


def trace_bytes(accelerator: Accelerator, width: int) -> int:
    """Return the bytes of the traced sums of an image in each lane of a vector."""
    numbers = sum(np.dtype(each).itemsize for each in _trace_types(accelerator)) * width
    return accelerator.program.sums * (EVENT.itemsize + numbers + width // 8)


def _trace_types(accelerator: Accelerator) -> tuple[type, type]:
    """Return the types of sums and of levels."""
    program = accelerator.program
    level = entry_layout(program)["level"].width
    return _type(program.network.accumulator.width), _type(level)


def _type(width: int) -> type:
    sizes = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
    return next(each for size, each in sizes.items() if width <= 8 * size)


def _streams(ports: Ports, plan: Plan, accelerator: Accelerator, *, values: bool) -> dict[str, Any]:
    """Return where the ports lie in a plan's state."""

    def slots(nets: list[int]) -> np.ndarray:
        return np.array([plan.slot[net] for net in nets], np.uint32)

    entries = [
        net
        for valid, image, element, data in zip(
            ports.valid, ports.image, ports.element, ports.data, strict=True
        )
        for net in (valid, *image, *element, *(data if values else ()))
    ]
    single = ("i_valid", "i_last", "i_ready", "o_ready", "o_valid", "o_last", "step", "running")
    return {
        "code": slots(ports.code if values else []),
        "level": slots(ports.level if values else []),
        "label": slots(ports.label if values else []),
        "weights": slots(ports.weights),
        "layer": slots(ports.layer),
        "current": slots(ports.current),
        "code_width": len(ports.code) if values else 0,
        "level_width": len(ports.level),
        "label_width": len(ports.label),
        "weights_width": len(ports.weights),
        "layer_width": len(ports.layer),
        **{name: plan.slot[getattr(ports, name)] for name in single},
        "weights_valid": plan.slot[ports.weights_valid],
        "chains": len(ports.valid),
        "entry_width": len(ports.data[0]) if values else 0,
        "sum_width": accelerator.program.network.accumulator.width,
        "entries": slots(entries),
    }
