"""The evaluator in NumPy, for machines without a C++ compiler.

It does the same as ``evaluate.cc`` and ``streams.cc``, an operation on many nets at a time where
these have many images a net, so it wants wide vectors.
"""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from .gates import KINDS
from .lanes import Share, numbers, vectors
from .plan import READ, SELECT, WRITE, Plan

__all__ = ["Portable"]

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_RESULTS = {kind: 2 if kind == "ADD" else 1 for kind in KINDS}
_OPERANDS = {"NOT": 1, "COPY": 1, "MUX": 3, "XOR3": 3, "MAJORITY": 3, "ADD": 3}
_DO: dict[str, Callable[..., tuple]] = {
    "NOT": lambda a: (~a,),
    "COPY": lambda a: (a,),
    "AND": lambda a, b: (a & b,),
    "ANDNOT": lambda a, b: (a & ~b,),
    "NOR": lambda a, b: (~(a | b),),
    "OR": lambda a, b: (a | b,),
    "ORNOT": lambda a, b: (a | ~b,),
    "NAND": lambda a, b: (~(a & b),),
    "XOR": lambda a, b: (a ^ b,),
    "XNOR": lambda a, b: (~(a ^ b),),
    "MUX": lambda a, b, c: (b ^ ((b ^ c) & a),),
    "XOR3": lambda a, b, c: (a ^ b ^ c,),
    "MAJORITY": lambda a, b, c: ((a & b) | (c & (a | b)),),
    "ADD": lambda a, b, c: (a ^ b ^ c, (a & b) | (c & (a | b))),
}


class Portable:
    """A plan in NumPy; see `native.Native`.

    Parameters
    ----------
    plan : Plan
    width : int
        Images at a time, a multiple of 64.
    """

    def __init__(self, plan: Plan, width: int):
        self.plan, self.width = plan, width
        self.runs = list(_split(plan.operations))
        self.registers = list(_groups(plan.registers))
        self.ports = list(_ports(plan.ports))

    def simulate(self, streams: Mapping[str, Any], job: Mapping[str, Any]) -> tuple[int, Any]:
        """Run an accelerator; return a status and what it did, as `native.Native.simulate`."""
        return _Loop(self, SimpleNamespace(**streams), job).run()

    def observe(self, inputs: np.ndarray, given: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Run any design from its start, as `native.Native.observe`."""
        loop = _Loop(self, SimpleNamespace(), {})
        kept = np.zeros((len(given), len(outputs), self.width // 64), np.uint64)
        for cycle, values in enumerate(given):
            loop.s[inputs] = values
            loop.evaluate()
            kept[cycle] = loop.s[outputs]
            loop.step()
        return kept

    def pack(self, share: Share, codes: np.ndarray, bits: int) -> np.ndarray:
        """Return the bits of images' codes, as `native.Native.pack`."""
        return vectors(share.spread(codes).reshape(-1, self.width), bits)

    def unpack(self, vectors: np.ndarray) -> np.ndarray:
        """Return bits as numbers, as `native.Native.unpack`."""
        return numbers(vectors)


def _split(numbers: np.ndarray) -> Iterator[tuple[Callable, list[np.ndarray], list[np.ndarray]]]:
    """Yield runs in which no operation reads the result of another one."""
    at = 0
    while at < len(numbers):
        kind, count = KINDS[numbers[at]], int(numbers[at + 1])
        results, operands = _RESULTS[kind], _OPERANDS.get(kind, 2)
        size = results + operands
        rows = numbers[at + 2 : at + 2 + count * size].reshape(count, size).astype(np.intp)
        at += 2 + count * size
        start, written = 0, set()
        for index, row in enumerate(rows.tolist()):
            if written.intersection(row[results:]):
                yield _DO[kind], *_columns(rows[start:index], results)
                start, written = index, set()
            written.update(row[:results])
        yield _DO[kind], *_columns(rows[start:], results)


def _columns(rows: np.ndarray, results: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    columns = [np.ascontiguousarray(column) for column in rows.T]
    return columns[:results], columns[results:]


def _groups(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield groups of registers: the enable, outputs and inputs.

    Inputs are all read before outputs are written, which the order of registers allows for.
    """
    at = 0
    while at < len(numbers):
        enable, count = int(numbers[at]), int(numbers[at + 1])
        pairs = numbers[at + 2 : at + 2 + 2 * count].reshape(count, 2).astype(np.intp)
        yield enable, pairs[:, 0], pairs[:, 1]
        at += 2 + 2 * count


def _ports(numbers: np.ndarray) -> Iterator[SimpleNamespace]:
    values = iter(numbers.tolist())

    def some() -> list[int]:
        return [next(values) for _ in range(next(values))]

    for kind in values:
        memory = next(values)
        enable = None if kind == WRITE else next(values)
        address = some()
        chosen = some() if kind == SELECT else []
        if kind == WRITE:
            pairs = [next(values) for _ in range(2 * next(values))]
            data, enable = np.array(pairs[1::2]), np.array(pairs[::2])
        else:
            data = np.array(some())
        yield SimpleNamespace(
            kind=kind, memory=memory, enable=enable, address=address, chosen=chosen, data=data
        )


class _Loop:
    """One simulation."""

    def __init__(self, evaluator: Portable, io: SimpleNamespace, job: Mapping[str, Any]):
        self.evaluator, self.io = evaluator, io
        numbers = ("traced_start", "traced", "periodic_count", "weight_words")
        defaults = dict.fromkeys(("codes", "levels", "sums", "toggles")) | dict.fromkeys(numbers, 0)
        self.job = SimpleNamespace(**defaults | dict(job))
        plan = evaluator.plan
        self.words = evaluator.width // 64
        self.s = np.zeros((plan.slots, self.words), np.uint64)
        self.s[plan.ones] = _ALL
        self.memories = [
            words.init.copy()
            if words.uniform
            else np.repeat(words.init[:, :, None] * _ALL, self.words, axis=2)
            for words in plan.memories
        ]

    def bit(self, slot: int) -> bool:
        return bool(self.s[slot, 0] & np.uint64(1))

    def number(self, slots) -> int:
        bits = self.s[slots, 0] & np.uint64(1)
        return sum(int(bit) << place for place, bit in enumerate(bits))

    def set(self, slot: int, value: bool) -> None:
        self.s[slot] = _ALL if value else 0

    def evaluate(self) -> None:
        s = self.s
        for do, results, operands in self.evaluator.runs:
            for result, value in zip(results, do(*(s[each] for each in operands)), strict=True):
                s[result] = value

    def step(self) -> None:
        """Make the clock's edge: reads see words before it, registers nets before it."""
        s = self.s
        reads = [
            (port.data, self._read(port))
            for port in self.evaluator.ports
            if port.kind != WRITE and self.bit(port.enable)
        ]
        for port in self.evaluator.ports:
            if port.kind == WRITE:
                self._write(port)
        for enable, outputs, inputs in self.evaluator.registers:
            mask = s[enable]
            if (mask == _ALL).all():
                s[outputs] = s[inputs]
            elif mask.any():
                s[outputs] ^= (s[outputs] ^ s[inputs]) & mask
        for data, word in reads:
            s[data] = word

    def _read(self, port: SimpleNamespace) -> np.ndarray:
        memory = self.memories[port.memory]
        row = self.number([s for i, s in enumerate(port.address) if i not in port.chosen])
        if port.kind == READ:
            if row >= len(memory):
                return np.zeros((len(port.data), self.words), np.uint64)
            word = memory[row]
            return word.copy() if word.ndim == 2 else np.outer(word, np.full(self.words, _ALL))
        return self._select(port, memory)

    def _select(self, port: SimpleNamespace, memory: np.ndarray) -> np.ndarray:
        """Read where bits of the address differ between lanes."""
        base = sum(
            self.bit(slot) << place
            for place, slot in enumerate(port.address)
            if place not in port.chosen
        )
        word = np.zeros((len(port.data), self.words), np.uint64)
        for index in range(1 << len(port.chosen)):
            row, lanes = base, np.full(self.words, _ALL)
            for place, bit in enumerate(port.chosen):
                high = self.s[port.address[bit]]
                row |= (index >> place & 1) << bit
                lanes &= high if index >> place & 1 else ~high
            if row < len(memory):
                word[memory[row]] |= lanes
        return word

    def _write(self, port: SimpleNamespace) -> None:
        memory, mask = self.memories[port.memory], self.s[port.enable]
        row = self.number(port.address)
        if not mask.any() or row >= len(memory):
            return
        if memory.ndim == 2:
            chosen = mask[:, 0] & np.uint64(1) == 1
            memory[row, chosen] = (self.s[port.data[chosen], 0] & np.uint64(1)).astype(bool)
        else:
            memory[row] ^= (memory[row] ^ self.s[port.data]) & mask

    def run(self) -> tuple[int, SimpleNamespace]:
        """Simulate until all results came."""
        io, job = self.io, self.job
        names = ("cycles", "steps", "accepted", "emitted", "lasts", "images", "events")
        reply = SimpleNamespace(**dict.fromkeys((*names, "overflowing"), 0))
        for word in job.weights[: job.weight_words]:
            for place, slot in enumerate(io.weights):
                self.set(slot, int(word[place // 64]) >> place % 64 & 1 == 1)
            self.set(io.weights_valid, True)
            self.evaluate()
            self.step()
        if job.weight_words:
            self.set(io.weights_valid, False)
        self.set(io.o_ready, True)
        idle = waited = simulated = 0
        period = _Period(self)
        while reply.emitted < job.results:
            offered = reply.accepted < job.elements
            self.set(io.i_valid, offered)
            if offered:
                if len(io.code):
                    self.s[io.code] = job.codes[reply.accepted]
                self.set(io.i_last, reply.accepted + 1 == job.elements)
            self.evaluate()
            moved = offered and self.bit(io.i_ready)
            reply.accepted += moved
            ended = False
            if self.bit(io.o_valid):
                moved, last = True, self.bit(io.o_last)
                if last and reply.images == job.images:
                    return 2, reply
                ended = self._take(reply, last)
            step, running = self.bit(io.step), self.bit(io.running)
            reply.steps += step
            waited += 1
            if running:
                job.layer_cycles[self.number(io.current)] += np.uint64(waited)
                waited = 0
            moved = self._trace(reply, period.skipped) or moved or step or running
            self.step()
            reply.cycles += 1
            job.progress[0] = reply.accepted
            if job.stop[0]:
                return 3, reply
            if ended and job.periodic_count:
                period.look(reply, waited)
            idle = 0 if moved else idle + 1
            if idle > job.idle_limit:
                return 1, reply
            simulated += 1
            if simulated > job.work_limit:
                return 4, reply
        return 0, reply

    def _take(self, reply: SimpleNamespace, last: bool) -> bool:
        """Keep a level, and a label with the last of an output; tell whether it ends an image."""
        if self.job.levels is not None:
            self.job.levels[reply.emitted] = self.s[self.io.level]
            if last:
                self.job.labels[reply.lasts] = self.s[self.io.label]
        reply.emitted += 1
        reply.lasts += last
        ended = last and reply.lasts % self.job.ends == 0
        reply.images += ended
        return ended

    def _trace(self, reply: SimpleNamespace, skipped: int) -> bool:
        """Keep the sums that pass; tell whether any does."""
        io, job, any_ = self.io, self.job, False
        stride = 65 + io.entry_width
        for chain in range(io.chains):
            entry = io.entries[chain * stride : (chain + 1) * stride]
            if not self.bit(entry[0]):
                continue
            any_ = True
            image, layer = self.number(entry[1:33]) + skipped, self.number(io.layer)
            bits = self.s[entry[65:]]
            if io.entry_width:
                flag = bits[io.sum_width]
                if image < job.images:
                    flag = flag & job.masks[image]
                job.overflows[layer] += np.bitwise_count(flag).sum(dtype=np.uint64)
            if not job.traced_start <= image < job.traced:
                continue
            if reply.events == len(job.events):
                reply.overflowing += 1
                continue
            at = reply.events
            reply.events += 1
            job.events[at] = (reply.cycles, image, self.number(entry[33:65]), layer, chain)
            if job.sums is not None:
                job.sums[at] = _signed(bits[: io.sum_width])
                job.values[at] = _signed(bits[io.sum_width + 1 :])
                job.flags[at] = bits[io.sum_width]
        return any_


def _signed(bits: np.ndarray) -> np.ndarray:
    """Return bits of shape (width, words) as signed numbers, one a lane."""
    octets = np.ascontiguousarray(bits).astype("<u8").view(np.uint8)
    planes = np.unpackbits(octets, axis=1, bitorder="little").astype(np.int64)
    weights = np.int64(1) << np.arange(len(planes))
    weights[-1] = -weights[-1]
    return (planes * weights[:, None]).sum(axis=0)


class _Period:
    """Skip what repeats; see ``streams.cc``."""

    def __init__(self, loop: _Loop):
        self.loop, self.marks, self.skipped, self.done = loop, {}, 0, False

    def look(self, reply: SimpleNamespace, waited: int) -> None:
        """Compare the state at the end of an image with those before; skip once one repeats."""
        job = self.loop.job
        if self.done or job.skip_stop <= reply.images < job.traced:
            return
        state = (self.loop.s[job.periodic, 0] & np.uint64(1)).astype(bool).tobytes()
        ahead = reply.accepted - reply.images * job.inputs
        key = (state, ahead, reply.emitted - reply.images * (job.results // job.images), waited)
        if key not in self.marks:
            self.marks[key] = SimpleNamespace(**vars(reply)), job.layer_cycles.copy()
            return
        before, layer_cycles = self.marks[key]
        self.done = True
        elements = reply.accepted - before.accepted
        images = reply.images - before.images
        left = job.elements - reply.accepted
        if left <= job.inputs + elements:
            return
        times = (left - job.inputs - 1) // elements
        if reply.images < job.traced:  # up to where sums are asked for, and then again
            times = min(times, (job.skip_stop - reply.images) // images)
            self.done = False
        for name in ("images", "lasts", "accepted", "emitted", "cycles", "steps"):
            value = getattr(reply, name)
            setattr(reply, name, value + times * (value - getattr(before, name)))
        job.layer_cycles += np.uint64(times) * (job.layer_cycles - layer_cycles)
        self.skipped += times * images
        self.marks.clear()
