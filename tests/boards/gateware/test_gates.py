"""The parts of the link alone, in Amaranth's simulator."""

import random
import zlib

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.boards.gateware import receiver as receivers
from narrowgauge.boards.gateware.buffer import FrameBuffer
from narrowgauge.boards.gateware.crc import Crc32
from narrowgauge.boards.gateware.receiver import FrameReceiver
from narrowgauge.boards.gateware.transmitter import FrameTransmitter
from narrowgauge.boards.gateware.uart import UartReceiver, UartTransmitter, divisor_for
from narrowgauge.boards.gateware.unpacker import Unpacker
from narrowgauge.boards.protocol.frame import Frame, packed
from narrowgauge.hw.errors import GeometryError

from ...hw.simulation import run

# --- the check -----------------------------------------------------------------------------------


def crc(content):
    """The complement of the register after ``content``, and whether its end was a check."""
    dut, found = Crc32(), []

    async def testbench(ctx):
        for byte in content:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
        await ctx.tick().repeat(dut.interval + 1)
        found.append((ctx.get(dut.o_register) ^ 0xFFFFFFFF, ctx.get(dut.o_good)))

    run(dut, testbench)
    return found[0]


@settings(max_examples=20)
@given(st.binary(max_size=12))
def test_crc_is_that_of_zlib(content):
    assert crc(content) == (zlib.crc32(content), 0)
    assert crc(content + zlib.crc32(content).to_bytes(4, "little"))[1] == 1


# --- the wire ------------------------------------------------------------------------------------


def wave(byte, cycles, *, stop=1):
    """The level of the wire in each cycle of a byte, whose bits take ``cycles``, not only whole."""
    bits = [0, *(byte >> index & 1 for index in range(8)), stop]
    return [bits[int(cycle / cycles)] for cycle in range(round(10 * cycles))]


def heard(divisor, levels):
    """The bytes, and the errors, that a receiver takes from a wire."""
    dut, found = UartReceiver(divisor), []

    async def testbench(ctx):
        for level in [1] * 4 + levels + [1] * 12 * divisor:
            ctx.set(dut.rx, level)
            await ctx.tick()
            if ctx.get(dut.o.valid):
                found.append(ctx.get(dut.o.payload))
            if ctx.get(dut.o_error):
                found.append("error")

    run(dut, testbench)
    return found


@pytest.mark.parametrize("divisor", [4, 5, 12, 39])
@pytest.mark.parametrize("error", [-0.03, 0, 0.03])
def test_bytes_are_taken_from_the_wire(divisor, error):
    sent = [0x00, 0xFF, 0x55, 0xA5, 0x01, 0x80]
    levels = [level for byte in sent for level in wave(byte, divisor * (1 + error))]
    assert heard(divisor, levels) == sent


def test_a_baud_that_is_far_off_would_be_seen():
    sent = [0x00, 0xFF, 0x55, 0xA5, 0x01, 0x80]
    levels = [level for byte in sent for level in wave(byte, 12 * 1.1)]
    assert heard(12, levels) != sent


@pytest.mark.parametrize("divisor", [4, 12])
def test_a_spike_of_a_cycle_is_not_seen(divisor):
    clean = wave(0x5A, divisor)
    for place in range(0, len(clean), 1 if divisor == 4 else 5):
        # within a bit; at its edge, a spike is an edge that comes a cycle early or late
        spiked = clean.copy()
        spiked[place] ^= 1
        assert heard(divisor, [1] * 8 + spiked) == [0x5A], place
    assert heard(divisor, [1] * 8 + [0] + [1] * 8) == []


def test_a_byte_without_stop_bit_is_dropped():
    assert heard(12, wave(0x00, 12, stop=0) + [1] * 24 + wave(0x42, 12)) == ["error", 0x42]
    # a wire that is low for long is one error, not a stream of zeros
    assert heard(12, [0] * 600 + [1] * 24 + wave(0x42, 12)) == ["error", 0x42]


@pytest.mark.parametrize("divisor", [4, 12])
def test_bytes_are_put_on_the_wire(divisor):
    dut, levels = UartTransmitter(divisor), []
    sent = [0x00, 0xFF, 0xA5, 0x42]

    async def drive(ctx):
        for byte in sent:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def listen(ctx):
        assert ctx.get(dut.tx) == 1
        for _ in range((10 * divisor + 1) * len(sent) + divisor):
            levels.append(ctx.get(dut.tx))
            await ctx.tick()

    run(dut, listen, drive)
    assert heard(divisor, levels) == sent


def test_a_baud_must_be_made_of_the_clock():
    assert divisor_for(12e6, 1e6) == 12
    assert divisor_for(12e6, 115200) == 104
    for clock, baud in ((12e6, 4e6), (12e6, 2.2e6)):
        with pytest.raises(GeometryError, match="take a lower baud"):
            divisor_for(clock, baud)
    with pytest.raises(GeometryError, match="at least 4 cycles"):
        UartReceiver(3)


# --- frames --------------------------------------------------------------------------------------

LIMIT, SILENCE = 4, 256


def taken(line, *, silence=SILENCE):
    """What a receiver says of the bytes of ``line``; None in it is a silence."""
    dut, events = FrameReceiver(LIMIT, silence=silence), []

    async def drive(ctx):
        for byte in line:
            if byte is None:
                await ctx.tick().repeat(2 * SILENCE)
                continue
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            await ctx.tick().repeat(11)
        await ctx.tick().repeat(16)

    async def listen(ctx):
        stored = []
        while True:
            if ctx.get(dut.o_begin):
                stored = []
            if ctx.get(dut.o_store):
                stored.append(ctx.get(dut.i.payload))
            if ctx.get(dut.o_done):
                events.append(Frame(stored[0], stored[1], bytes(stored[2:])))
                kind = ctx.get(dut.o_type), ctx.get(dut.o_sequence)
                assert kind == (stored[0], stored[1])
                assert ctx.get(dut.o_empty) == (len(stored) == 2)
                assert ctx.get(dut.o_full) == (len(stored) == 2 + LIMIT)
            if ctx.get(dut.o_damaged):
                events.append("damaged")
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(listen, background=True)
    simulator.run()
    return events


GOOD = Frame(6, 17, b"\xa5\x01\x02\x03")
short = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=LIMIT))


@settings(max_examples=20)
@given(st.lists(short, max_size=3))
def test_frames_are_taken_apart(sent):
    assert taken(b"".join(frame.to_bytes() for frame in sent)) == sent


@settings(max_examples=25)
@given(short, st.data())
def test_no_damaged_frame_is_taken(frame, data):
    damaged = bytearray(frame.to_bytes())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    events = taken([*damaged, None, *GOOD.to_bytes()])
    assert [event for event in events if event != "damaged"] == [GOOD]


@pytest.mark.parametrize("kept", range(1, 13))
def test_a_frame_that_is_cut_short_is_left_behind(kept):
    assert taken([*GOOD.to_bytes()[:kept], None, *GOOD.to_bytes()]) == ["damaged", GOOD]


def test_a_length_without_end_is_left_behind_at_once():
    endless = [0xA5, 6, 1, 0xFF, 0xFF]
    assert taken([*endless, *GOOD.to_bytes()]) == ["damaged", GOOD]
    assert taken([*endless, *[7] * 50, *GOOD.to_bytes()]) == ["damaged", GOOD]
    assert taken([0xA5, 6, 1, LIMIT + 1, 0, *GOOD.to_bytes()]) == ["damaged", GOOD]


def test_a_receiver_without_its_timeout_would_be_seen():
    cut = [*GOOD.to_bytes()[:9], None]
    assert taken([*cut, *GOOD.to_bytes()], silence=1 << 30) != ["damaged", GOOD]


def test_a_receiver_without_its_check_would_be_seen(monkeypatch):
    class Trusting(Crc32):
        def elaborate(self, platform):
            m = super().elaborate(platform)
            m.d.sync += self.o_good.eq(1)
            return m

    monkeypatch.setattr(receivers, "Crc32", Trusting)
    damaged = bytearray(GOOD.to_bytes())
    damaged[6] ^= 4
    assert any(isinstance(event, Frame) for event in taken(damaged))


@settings(max_examples=10)
@given(st.lists(st.builds(Frame, st.just(134), st.integers(0, 255), st.binary(max_size=9))))
def test_frames_are_put_together(frames):
    dut, line = FrameTransmitter(9), []

    async def testbench(ctx):
        for frame in frames:
            ctx.set(dut.i_type, frame.type)
            ctx.set(dut.i_sequence, frame.sequence)
            ctx.set(dut.i_length, len(frame.payload))
            await ctx.tick().until(dut.o_idle)
            ctx.set(dut.i_start, 1)
            await ctx.tick()
            ctx.set(dut.i_start, 0)
            while not ctx.get(dut.o_idle):
                left = ctx.get(dut.o_left)
                ctx.set(dut.i.valid, 1)
                if left:
                    ctx.set(dut.i.payload, frame.payload[-left])
                ctx.set(dut.o.ready, 1)
                if ctx.get(dut.o.valid):
                    line.append(ctx.get(dut.o.payload))
                await ctx.tick()
                ctx.set(dut.o.ready, 0)
                await ctx.tick().repeat(11)

    run(dut, testbench)
    assert bytes(line) == b"".join(frame.to_bytes() for frame in frames)


# --- what is between -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_buffer_gives_what_was_committed_and_nothing_else(seed):
    chance = random.Random(seed)
    dut, right, read = FrameBuffer(300), [], []

    async def write(ctx):
        for _ in range(12):
            ctx.set(dut.i_begin, 1)
            await ctx.tick()
            ctx.set(dut.i_begin, 0)
            frame = [chance.randrange(256) for _ in range(chance.randrange(300))]
            for byte in frame:
                ctx.set(dut.i_byte, byte)
                ctx.set(dut.i_store, 1)
                await ctx.tick()
                ctx.set(dut.i_store, 0)
                await ctx.tick()
            if chance.random() < 0.6 and not ctx.get(dut.o_overrun):
                right.extend(frame)
                ctx.set(dut.i_commit, 1)
                await ctx.tick()
                ctx.set(dut.i_commit, 0)
        await ctx.tick().repeat(3000)

    async def take(ctx):
        while True:
            ready = chance.random() < 0.3
            ctx.set(dut.o.ready, ready)
            _, _, valid, byte = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                read.append(byte)

    run(dut, write, take)
    assert read == right


@settings(max_examples=10)
@given(st.integers(1, 12), st.integers(1, 9), st.integers(0, 1 << 30))
def test_bytes_become_codes(width, count, number):
    codes = [(number >> 2 * index) % (1 << width) for index in range(2 * count)]
    line = packed(codes[:count], width) + packed(codes[count:], width)
    dut, found = Unpacker(width, count), []

    async def drive(ctx):
        for byte in line:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def listen(ctx):
        ctx.set(dut.o.ready, 1)
        for _ in range(2 * count):
            code, last = await ctx.tick().sample(dut.o.payload, dut.o_last).until(dut.o.valid)
            found.append((code, last))
        await ctx.tick().repeat(20)

    run(dut, listen, drive)
    ends = [index % count == count - 1 for index in range(2 * count)]
    assert found == list(zip(codes, ends, strict=True))
