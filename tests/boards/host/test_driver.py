"""The driver on a virtual board, and on devices that misbehave."""

import os
import re
import tty
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from narrowgauge.boards.host.driver import Driver
from narrowgauge.boards.host.port import Port
from narrowgauge.boards.proof.virtual import Noise, VirtualBoard
from narrowgauge.boards.protocol import info as infos
from narrowgauge.boards.protocol.frame import ANSWER, ERROR, Decoder, Error, Flag, Frame, Type
from narrowgauge.boards.protocol.info import Info, network_digest
from narrowgauge.hw.errors import DataError, FormatError, LinkError
from narrowgauge.hw.network.layers import Weighted

from ..linked import NETWORK, OTHER, device, expected

# --- on the virtual board ------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, 1e-3, 5e-3])
def test_all_images_are_answered_and_none_wrongly(rate):
    images, levels, labels = expected(400)
    timeout = 0.05 if rate else 5.0  # a busy machine is late, and nothing may be sent again
    with (
        VirtualBoard(device(), noise=rate, seed=1) as board,
        Driver(board.port, network=NETWORK, timeout=timeout, tries=50) as driver,
    ):
        done = driver.infer(images)
        assert (done.levels == levels).all()
        assert (done.labels == labels).all()
        short = driver.infer(images[:50], levels=False)
        assert (short.labels == labels[:50]).all()
        assert short.levels is None
        for noise in (board.to_device, board.from_device):
            happened = (noise.dropped, noise.flipped, noise.inserted)
            assert all(happened) if rate else not any(happened)
        assert (done.counts.retries > 0) == (rate > 0)
        assert Flag.READY in driver.status().flags
        assert driver.cycles() > 0


def test_a_program_that_ended_early_leaves_nothing_behind():
    images, levels, _ = expected(60)
    with VirtualBoard(device()) as board:
        for _ in range(3):
            with Driver(board.port, timeout=0.1) as driver:
                for answer in driver.answers(images):
                    if answer.index == 20:
                        break  # more are on their way
                assert (driver.infer(images[::-1]).levels == levels[::-1]).all()


def test_images_must_be_those_of_the_network():
    images, _, _ = expected(4)
    with VirtualBoard(device()) as board, Driver(board.port) as driver:
        with pytest.raises(DataError, match="4 elements, but the network of the device takes 9"):
            driver.infer(np.zeros((3, 4)))
        with pytest.raises(FormatError):
            driver.infer(images + 100)
        none = driver.infer(images[:0]).labels
        assert none is not None
        assert len(none) == 0


def test_a_bitstream_of_another_network_is_told():
    with (
        VirtualBoard(device()) as board,
        pytest.raises(LinkError, match=r"of another network .*3 outputs.* than random"),
    ):
        Driver(board.port, network=OTHER)


def test_networks_are_told_apart_by_what_they_compute():
    same = replace(NETWORK, name="else", about={"dataset": "digits"})
    assert network_digest(same) == network_digest(NETWORK)
    assert network_digest(OTHER) != network_digest(NETWORK)
    (first, *others) = NETWORK.layers
    assert isinstance(first, Weighted)
    weights = first.weights.copy()
    weights.flat[0] ^= 1
    changed = replace(NETWORK, layers=(replace(first, weights=weights), *others))
    assert network_digest(changed) != network_digest(NETWORK)
    assert network_digest(changed, weights=False) == network_digest(NETWORK, weights=False)


@pytest.mark.parametrize("rate", [0.0, 0.01])
def test_noise_has_the_rate_that_is_said(rate):
    noise, sent = Noise(rate, 3), bytes(100_000)
    arrives = noise(sent)
    assert len(arrives) == len(sent) + noise.inserted - noise.dropped
    for count in (noise.dropped, noise.flipped, noise.inserted):
        assert abs(count - rate * len(sent)) <= 5 * (rate * len(sent)) ** 0.5


# --- ports ---------------------------------------------------------------------------------------


def test_a_port_that_does_not_exist_is_told():
    with pytest.raises(LinkError, match=r"^/dev/nowhere: there is no such port; there is "):
        Driver("/dev/nowhere")


def test_a_port_that_may_not_be_opened_is_told(monkeypatch):
    import serial

    def refuse(*_, **__):
        raise serial.SerialException(13, "Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", refuse)
    with pytest.raises(LinkError, match=r"no permission to open it; join the group"):
        Driver("/dev/ttyUSB0")


def test_a_port_in_use_is_told():
    with VirtualBoard(device()) as board, Driver(board.port):
        with pytest.raises(LinkError, match="another program uses it"):
            Driver(board.port)


@pytest.mark.parametrize(
    ("name", "baud", "word"),
    [
        ("TERMINAL", 99_999_999_999, "OverflowError"),
        ("TERMINAL", 3_000_000_000, "cannot be opened at 3000000000 baud"),
        ("loop://?logging=zzz", 9600, "KeyError: 'zzz'"),
        ("loop://?bogus", 9600, "cannot be opened"),
        ("nonsense://x", 9600, "cannot be opened"),
    ],
)
def test_what_pyserial_does_not_take_is_told(name, baud, word):
    host, terminal = os.openpty()
    name = os.ttyname(terminal) if name == "TERMINAL" else name
    try:
        with pytest.raises(LinkError, match=f"^{re.escape(name)}: ") as told:
            Driver(name, baud=baud)
        assert word in str(told.value)
    finally:
        os.close(host)
        os.close(terminal)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": float("inf")}, "a timeout is up to 3600 s and more than 0, not inf"),
        ({"timeout": float("nan")}, "not nan"),
        ({"timeout": 0}, "not 0"),
        ({"tries": 0}, "once or more often, not 0 times"),
    ],
)
def test_a_timeout_and_tries_that_cannot_be_are_told(options, words):
    with pytest.raises(LinkError, match=re.escape(words)):
        driver_of(basic, **options)


def test_a_port_on_which_nothing_answers_is_told():
    host, terminal = os.openpty()
    tty.setraw(terminal)
    try:
        with pytest.raises(LinkError, match=r"no answer to 2 requests at 9600 baud"):
            Driver(os.ttyname(terminal), baud=9600, timeout=0.02, tries=2)
    finally:
        os.close(host)
        os.close(terminal)


# --- devices that misbehave ----------------------------------------------------------------------


class Scripted:
    """A line with a device in Python behind it; ``answer`` turns a request into bytes."""

    def __init__(self, answer):
        self.answer, self.decoder = answer, Decoder()
        self.waiting, self.timeout = bytearray(), None

    in_waiting = property(lambda self: len(self.waiting))

    def write(self, sent):
        for frame in self.decoder.feed(sent):
            self.waiting += self.answer(frame)

    def read(self, count):
        taken = bytes(self.waiting[:count])
        del self.waiting[:count]
        return taken

    def close(self):
        pass


def basic(frame):
    """What every device answers."""
    if frame.type == Type.INFO:
        return Frame(Type.INFO | ANSWER, frame.sequence, device().info.to_bytes()).to_bytes()
    content = b"\1\0\0\0" if frame.type in (Type.STATUS, Type.CYCLES) else b""
    return Frame(frame.type | ANSWER, frame.sequence, content).to_bytes()


def driver_of(answer, kind=Driver, **options):
    port = Port(Scripted(answer), "scripted", limit=300)
    return kind(port, **({"timeout": 0.01, "tries": 3} | options))


def test_a_device_of_another_version_is_told(monkeypatch):
    def answer(frame):
        content = bytes([9]) + device().info.to_bytes()[1:]
        return Frame(Type.INFO | ANSWER, frame.sequence, content).to_bytes()

    with pytest.raises(
        LinkError, match=r"speaks version 9 of the protocol, this .* versions 1 and 2"
    ):
        driver_of(answer)
    monkeypatch.setattr(infos, "PROTOCOL", 9)
    with pytest.raises(LinkError, match=r"speaks version 1 of the protocol"):
        Info.from_bytes(device().info.to_bytes())


def instead(kind, content, *, answer=None):
    """A device that answers requests of one kind with something else."""

    def send(frame):
        if frame.type != kind:
            return basic(frame)
        of = kind | ANSWER if answer is None else answer
        return Frame(of, frame.sequence, content).to_bytes()

    return send


def of_info(**fields):
    """The answer to INFO, with some fields changed."""
    values = dict(zip(infos.FIELDS, infos.LAYOUT.unpack(device().info.to_bytes()), strict=True))
    return infos.LAYOUT.pack(*(values | fields).values())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"input": b"\xff\xfe"}, r"unknown number format '\\xff\\xfe'"),
        ({"output": b"fp99"}, "'fp99'"),
        ({"accumulator": 255}, "2 to 48 bits, not 255"),
        ({"rows": 0}, "rows is 1 to 64, not 0"),
        ({"window": 0}, "window is 0"),
        ({"inputs": 0}, "inputs is 0"),
    ],
)
def test_a_device_that_cannot_be_is_told(fields, words):
    with pytest.raises(LinkError, match="says of itself what cannot be: ") as told:
        driver_of(instead(Type.INFO, of_info(**fields)))
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (77, "refuses: error 77, which this narrowgauge does not know"),
        (0, "refuses: error 0, which this narrowgauge does not know"),
        (Error.UNREADY, "UNREADY"),
    ],
)
def test_an_error_that_nobody_knows_is_told(code, words):
    content = bytes([code, 0])
    with pytest.raises(LinkError, match=words):
        driver_of(instead(Type.RESET, content, answer=ERROR)).reset()
    images, _, _ = expected(1)
    with pytest.raises(LinkError, match=words):
        driver_of(instead(Type.RUN, content, answer=ERROR)).infer(images)


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        (Type.STATUS, b"\1", "answers STATUS with 1 bytes instead of 4"),
        (Type.STATUS, b"\1\x4d\0\0", "had error 77 last"),
        (Type.CYCLES, b"", "answers CYCLES with 0 bytes instead of 4"),
        (Type.RESET, b"\0", "answers RESET with 1 bytes instead of 0"),
    ],
)
def test_an_answer_that_is_none_is_told(kind, content, words):
    driver = driver_of(instead(kind, content))
    ask = {Type.STATUS: driver.status, Type.CYCLES: driver.cycles, Type.RESET: driver.reset}
    with pytest.raises(LinkError, match=words):
        ask[kind]()


def late(images, labels):
    """A device whose answer to each image comes behind the one to the next: all of them old."""
    old = deque([b""])

    def answer(frame):
        if frame.type != Type.CLASSIFY:
            return basic(frame)
        (index,) = (i for i, image in enumerate(images) if payload(image) == frame.payload)
        old.append(Frame(Type.CLASSIFY | ANSWER, frame.sequence, bytes([labels[index]])).to_bytes())
        return old.popleft()

    return answer


def payload(image):
    from narrowgauge.boards.protocol.frame import packed

    return packed(NETWORK.input.to_code(image), NETWORK.input.width)


class Credulous(Driver):
    """Takes what comes for the answer to the oldest image."""

    def _unasked(self, frame, kind, flying):
        if frame.sequence not in flying and flying and frame.type == kind | ANSWER:
            flying[frame.sequence] = flying.pop(next(iter(flying)))
        return super()._unasked(frame, kind, flying)


@pytest.mark.parametrize("kind", [Driver, Credulous])
def test_an_old_answer_is_not_taken_for_a_new_one(kind):
    images, _, labels = expected(40)
    places = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    images, labels = images[places], labels[places]
    assert len(labels) > 1

    def sent(frame):  # one image is on its way at a time
        answer = basic(frame)
        if frame.type == Type.INFO:
            info = replace(device().info, window=1)
            answer = Frame(Type.INFO | ANSWER, frame.sequence, info.to_bytes()).to_bytes()
        return answer if frame.type != Type.CLASSIFY else slow(frame)

    slow = late(images, labels)
    driver = driver_of(sent, kind, tries=20)
    # an image of an earlier request is still inside
    slow(Frame(Type.CLASSIFY, 0, payload(images[-1])))
    try:
        found = driver.infer(images, levels=False).labels
    except LinkError:
        found = None  # nothing was accepted
    wrong = found is not None and (found != labels).any()
    assert wrong == (kind is Credulous)


def test_an_image_for_which_there_is_no_room_is_sent_again():
    images, _, labels = expected(30)
    count = 0

    def answer(frame):
        nonlocal count
        if frame.type != Type.CLASSIFY:
            return basic(frame)
        count += 1
        if count % 3 == 0:
            return Frame(ERROR, frame.sequence, bytes([Error.BUSY, 0])).to_bytes()
        (label, *_) = (
            la for im, la in zip(images, labels, strict=True) if payload(im) == frame.payload
        )
        return Frame(Type.CLASSIFY | ANSWER, frame.sequence, bytes([label])).to_bytes()

    done = driver_of(answer).infer(images, levels=False)
    assert (done.labels == labels).all()
    assert done.counts.refused == count // 3


def test_a_device_that_stops_answering_is_told():
    images, _, _ = expected(3)
    silent = driver_of(lambda frame: b"" if frame.type == Type.CLASSIFY else basic(frame))
    with pytest.raises(LinkError, match="no answer to 3 requests"):
        silent.infer(images, levels=False)


def test_a_device_that_computes_is_waited_for():
    images, _, labels = expected(1)
    asked = []

    def answer(frame):
        if frame.type == Type.CLASSIFY:
            asked.append(frame.sequence)
            return b""
        if frame.type != Type.STATUS:
            return basic(frame)
        asked.append("status")
        status = Frame(Type.STATUS | ANSWER, frame.sequence, b"\3\0\0\0").to_bytes()
        if len(asked) < 10:
            return status
        return status + Frame(Type.CLASSIFY | ANSWER, asked[0], bytes([labels[0]])).to_bytes()

    done = driver_of(answer).infer(images, levels=False)
    assert (done.labels == labels).all()
    assert (done.counts.retries, done.counts.stale) == (0, 0)
