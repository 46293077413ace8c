"""The complete device in simulation: requests at its pin rx, answers at its pin tx."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from narrowgauge.boards.gateware import board_top as tops
from narrowgauge.boards.gateware import receiver as receivers
from narrowgauge.boards.gateware.crc import Crc32
from narrowgauge.boards.gateware.device import Device
from narrowgauge.boards.gateware.results import image_bytes
from narrowgauge.boards.host.driver import Driver
from narrowgauge.boards.proof import simulation as simulations
from narrowgauge.boards.proof.simulation import SimulatedDevice
from narrowgauge.boards.proof.virtual import VirtualBoard, virtual_device
from narrowgauge.boards.protocol.frame import ANSWER, ERROR, Decoder, Error, Frame, Type, packed
from narrowgauge.boards.protocol.info import Info
from narrowgauge.hw.accelerator.top import Accelerator
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.geometry import Geometry
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.program.layout import Program
from narrowgauge.model.integers.reference import evaluate

from ...hw.networks import random_images, random_network
from ..linked import (
    NETWORK,
    PROGRAM,
    QUIET,
    answered,
    device,
    expected,
    is_alive,
    levels_of,
    request,
    simulated,
)

RANDOM_BYTES = 100_000
MUTATED_FRAMES = 10_000


@pytest.fixture
def board():
    with simulated() as simulation:
        yield simulation


def test_it_says_what_it_is(board):
    (frame,) = answered(board, request(Type.INFO, 5))
    assert (frame.type, frame.sequence) == (Type.INFO | ANSWER, 5)
    info = Info.from_bytes(frame.payload)
    assert info == device().info
    assert (info.inputs, info.outputs) == (NETWORK.inputs, NETWORK.outputs)
    assert (info.input, info.output) == (NETWORK.input, NETWORK.output)
    assert (info.rows, info.columns, info.lanes) == (2, 1, 1)


def test_images_are_answered_in_their_order(board):
    images, levels, labels = expected(12)
    sent = b"".join(request(Type.RUN, 250 + i & 255, image) for i, image in enumerate(images))
    frames = answered(board, sent)
    assert [frame.sequence for frame in frames] == [250 + i & 255 for i in range(12)]
    for frame, level, label in zip(frames, levels, labels, strict=True):
        found, of = levels_of(frame.payload)
        assert frame.type == Type.RUN | ANSWER
        assert (found == level).all()
        assert of == label


def test_requests_of_all_kinds_may_follow_each_other(board):
    images, levels, labels = expected(12)
    sent = b""
    for index, image in enumerate(images):
        sent += request(Type.CLASSIFY if index % 3 else Type.RUN, index, image)
        sent += request(Type.STATUS, 100 + index)
    frames = answered(board, sent)
    images_only = [frame for frame in frames if frame.sequence < 100]
    assert [frame.sequence for frame in images_only] == list(range(12))
    assert [frame.payload[-1] for frame in images_only] == labels.tolist()
    for frame in images_only[::3]:
        assert (levels_of(frame.payload)[0] == levels[frame.sequence]).all()
    assert {frame.type for frame in frames if frame.sequence >= 100} == {Type.STATUS | ANSWER}


def test_images_are_computed_as_fast_as_they_come(board):
    images, _, labels = expected(12)
    sent = b"".join(request(Type.CLASSIFY, i, images[i % 12]) for i in range(60))
    frames = answered(board, sent, quiet=2000)
    assert [frame.payload[0] for frame in frames] == [labels[i % 12] for i in range(60)]
    line = 10 * device().divisor * len(sent)
    assert line <= board.cycles - 2000 <= 1.05 * line


def test_more_images_than_there_is_room_for_are_refused_and_none_is_lost(board):
    images, _, labels = expected(12)
    # levels are asked for, so that answers take longer than requests
    sent = b"".join(request(Type.RUN, i, images[i % 12]) for i in range(240))
    frames = answered(board, sent)
    refused = {frame.sequence for frame in frames if frame.type == ERROR}
    assert {frame.payload[0] for frame in frames if frame.type == ERROR} <= {Error.BUSY}
    done = [frame for frame in frames if frame.type == Type.RUN | ANSWER]
    assert all(frame.payload[-1] == labels[frame.sequence % 12] for frame in done)
    # an error is passed over where another answer waits, so there may be fewer than were refused
    assert not refused & {frame.sequence for frame in done}
    assert is_alive(board)


def test_cycles_are_counted_while_there_is_work(board):
    (before,) = answered(board, request(Type.CYCLES, 1))
    assert int.from_bytes(before.payload, "little") == 0
    images, _, _ = expected(1)
    counts = []
    for number in range(3):
        answered(board, request(Type.RUN, number, images[0]), quiet=10_000)
        (frame,) = answered(board, request(Type.CYCLES, 9))
        counts.append(int.from_bytes(frame.payload, "little"))
    assert counts[0] > PROGRAM.cycles.compute(PROGRAM.records[0])
    assert counts[2] - counts[1] == counts[1] - counts[0]
    answered(board, request(Type.RESET, 1))
    (after,) = answered(board, request(Type.CYCLES, 1))
    assert int.from_bytes(after.payload, "little") == 0


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (Frame(0x50, 9), Error.TYPE),
        (Frame(0x00, 9), Error.TYPE),
        (Frame(Type.WEIGHTS, 9, bytes(image_bytes(PROGRAM))), Error.TYPE),
        (Frame(Type.INFO, 9, b"\0"), Error.LENGTH),
        (Frame(Type.RUN, 9), Error.LENGTH),
        (Frame(Type.CLASSIFY, 9, bytes(image_bytes(PROGRAM) - 1)), Error.LENGTH),
    ],
)
def test_what_cannot_be_done_is_told(board, sent, error):
    (frame,) = answered(board, sent.to_bytes())
    assert (frame.type, frame.sequence, frame.payload[0]) == (ERROR, 9, error)
    (status,) = answered(board, request(Type.STATUS, 1))
    assert status.payload[:2] == bytes([1, error])
    assert is_alive(board)


def test_answers_are_no_requests(board):
    assert answered(board, Frame(ERROR, 1, b"ab").to_bytes()) == []
    assert answered(board, Frame(Type.INFO | ANSWER, 1).to_bytes()) == []


def test_a_reset_forgets_what_is_on_its_way(board):
    images, _, labels = expected(4)
    for cut in range(0, 60, 7):
        # behind the reset, an image of which a part came before it
        sent = b"".join(request(Type.RUN, i, images[i]) for i in range(3))
        sent += request(Type.RESET, 77) + request(Type.RUN, 3, images[3])[: cut + 1]
        frames = answered(board, sent, quiet=QUIET)
        assert all(
            frame.payload[-1] == labels[frame.sequence]
            for frame in frames
            if frame.type == Type.RUN | ANSWER
        )
        assert is_alive(board)


@pytest.mark.parametrize("kept", range(1, 14))
def test_a_frame_cut_short_is_left_behind(board, kept):
    images, _, _ = expected(1)
    sent = request(Type.RUN, 1, images[0])
    assert len(sent) == 13
    if kept < len(sent):
        assert answered(board, sent[:kept], quiet=QUIET) == []
    assert is_alive(board)


@pytest.mark.parametrize("length", [image_bytes(PROGRAM) + 1, 0x100, 0xFFFF])
def test_an_endless_frame_is_left_behind(board, length):
    start = bytes([0xA5, Type.RUN, 1, *length.to_bytes(2, "little")])
    assert answered(board, start) == []
    assert is_alive(board)
    assert answered(board, start + b"\x55" * 300) == []
    assert is_alive(board)


def test_a_broken_line_is_left_behind():
    """Bits far off the device's baud are noise, and the next ones are heard."""
    with SimulatedDevice(device(), bit_cycles=3) as board:
        assert answered(board, request(Type.INFO, 1) * 5, quiet=QUIET) == []
        board.bit_cycles = device().divisor
        assert is_alive(board)


class Echo(wiring.Component):
    """Sends what it receives, out of reset."""

    rx: Signal
    tx: Signal
    divisor = 4

    def __init__(self):
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        sent = Signal(init=1)
        m.d.sync += sent.eq(self.rx)
        m.d.comb += self.tx.eq(sent)
        return m


@pytest.mark.parametrize("reset", [tops.RESET_CYCLES, 10_000])
def test_the_reset_of_the_top_level_is_simulated(monkeypatch, reset):
    """A top level whose reset is longer than is waited for does not hear its first bytes."""
    monkeypatch.setattr(tops, "RESET_CYCLES", reset)
    with SimulatedDevice(Echo()) as board:
        heard = board.exchange(b"first", quiet=100)
        assert heard == (b"first" if reset == simulations.RESET_CYCLES else b"")
        board.run(reset)
        assert board.exchange(b"second", quiet=100) == b"second"


# --- weights -------------------------------------------------------------------------------------


def chunks():
    width, _ = PROGRAM.memories["weights"]
    content, size = packed(PROGRAM.contents.weights, width), image_bytes(PROGRAM)
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    return [part.ljust(size, b"\xff") for part in parts]


def test_weights_are_loaded_in_their_order_once():
    images, levels, _ = expected(1)
    parts = chunks()
    with simulated(loads=True) as board:
        for _ in range(2):
            (frame,) = answered(board, request(Type.RUN, 7, images[0]))
            assert frame == Frame(ERROR, 7, bytes([Error.UNREADY, 0]))
            for index, part in enumerate(parts):
                (frame,) = answered(board, Frame(Type.WEIGHTS, index + 1, part).to_bytes())
                assert frame == Frame(ERROR, index + 1, bytes([Error.ORDER, index]))
                (frame,) = answered(board, Frame(Type.WEIGHTS, index, part).to_bytes())
                assert frame == Frame(Type.WEIGHTS | ANSWER, index)
            (frame,) = answered(board, request(Type.STATUS, 1))
            assert frame.payload == bytes([1, Error.ORDER, 0, len(parts)])
            (frame,) = answered(board, Frame(Type.WEIGHTS, len(parts), parts[0]).to_bytes())
            assert frame.payload[0] == Error.LOADED
            (frame,) = answered(board, request(Type.RUN, 8, images[0]))
            assert (levels_of(frame.payload)[0] == levels[0]).all()
            (frame,) = answered(board, request(Type.RESET, 3))
            assert frame == Frame(Type.RESET | ANSWER, 3)


# --- fuzz ----------------------------------------------------------------------------------------


def test_random_bytes_neither_wedge_it_nor_are_they_answered(board):
    chance = random.Random(1)
    for part in range(10):
        sent = chance.randbytes(RANDOM_BYTES // 10)
        decoder = Decoder()
        frames = decoder.feed(board.exchange(sent, quiet=QUIET))
        assert frames == []  # a right check comes by chance once in 2**32 frames
        assert decoder.damaged == 0
        assert is_alive(board, part)


def mutated(chance, sent):
    """A frame of which something is wrong, or by chance nothing."""
    frame = bytearray(sent)
    for _ in range(chance.choice([1, 1, 2, 5])):
        place = chance.randrange(len(frame) + 1)
        kind = chance.choice(["flip", "drop", "insert", "cut", "double"])
        if kind == "flip" and place < len(frame):
            frame[place] ^= 1 << chance.randrange(8)
        elif kind == "drop":
            del frame[place : place + 1]
        elif kind == "insert":
            frame.insert(place, chance.choice([0xA5, chance.randrange(256)]))
        elif kind == "cut":
            del frame[place:]
        else:
            frame[place:place] = frame[:place]
        if not frame:
            break
    return bytes(frame)


def fuzz(board, count, seed):
    """Send mutated frames among right ones; return what was answered wrongly, and how many rightly.

    A frame that lost nothing of what is checked may be answered; what it asked is known by its
    sequence number.
    """
    images, levels, labels = expected(12)
    chance, wrong, right = random.Random(seed), [], 0
    decoder = Decoder()
    for start in range(0, count, 100):
        sent = b""
        for index in range(start, start + 100):
            number = index % 12
            kind = chance.choice([Type.RUN, Type.CLASSIFY, Type.INFO, Type.STATUS, Type.CYCLES])
            image = images[number] if kind in (Type.RUN, Type.CLASSIFY) else None
            sent += mutated(chance, request(kind, number, image))
        for frame in decoder.feed(board.exchange(sent, quiet=2000)):
            if frame.sequence >= 12:
                good = False
            elif frame.type == Type.RUN | ANSWER:
                found, label = levels_of(frame.payload)
                good = (found == levels[frame.sequence]).all() and label == labels[frame.sequence]
            elif frame.type == Type.CLASSIFY | ANSWER:
                good = frame.payload == bytes([labels[frame.sequence]])
            elif frame.type == Type.INFO | ANSWER:
                good = frame.payload == device().info.to_bytes()
            else:
                good = frame.type in (Type.STATUS | ANSWER, Type.CYCLES | ANSWER)
            right += bool(good)
            wrong += [] if good else [frame]
    assert decoder.damaged == 0  # the line back is clean
    return wrong, right


def test_mutated_frames_neither_wedge_it_nor_give_wrong_answers(board):
    for part in range(10):
        wrong, right = fuzz(board, MUTATED_FRAMES // 10, part)
        assert wrong == []
        assert right > 0  # some were only cut behind their end, or doubled
        board.exchange(b"", quiet=QUIET)
        assert is_alive(board, part)


@pytest.mark.slow
def test_a_device_that_does_not_check_would_be_seen(monkeypatch):
    class Trusting(Crc32):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            m.d.sync += self.o_good.eq(1)
            return m

    monkeypatch.setattr(receivers, "Crc32", Trusting)
    with SimulatedDevice(device.__wrapped__()) as board:
        assert fuzz(board, 200, 0)[0] != []


@pytest.mark.slow
def test_long_images_and_many_classes():
    """Lengths of two bytes in both directions, a ring of one image, and classes of two bytes."""
    network = random_network(3, ("bipolar", "uint4", "bipolar"), (530, 6, 260), Accumulator(18))
    device = virtual_device(Accelerator(Program(network, Geometry(1, 1, 4))))
    images = random_images(5, network, 12)
    result = evaluate(network, images, 4)
    assert result.labels.max() > 255
    with VirtualBoard(device) as board, Driver(board.port, network=network) as driver:
        assert driver.info.window == 2 + 1
        done = driver.infer(images)
        assert (done.levels == result.levels.numpy()).all()
        short = driver.infer(images, levels=False)
        assert (short.labels == result.labels.numpy()).all()


def test_the_clock_must_make_the_baud():
    with pytest.raises(GeometryError, match="take a lower baud"):
        Device(Accelerator(PROGRAM), clock_frequency=12e6, baud=5e6)
