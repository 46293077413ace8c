import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.boards.protocol.frame import OVERHEAD, SYNC, Decoder, Frame, packed, packed_bytes

frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=20))


def test_the_layout_is_the_one_that_is_written():
    sent = Frame(0x06, 0x12, b"\xaa\xbb").to_bytes()
    assert sent[:7].hex() == "a50612" + "0200" + "aabb"
    assert sent[7:] == zlib.crc32(sent[1:7]).to_bytes(4, "little")
    assert len(sent) == 2 + OVERHEAD


@given(st.lists(frames, max_size=5), st.integers(1, 40))
def test_what_is_sent_arrives_in_any_pieces(sent, size):
    line = b"".join(frame.to_bytes() for frame in sent)
    decoder, found = Decoder(), []
    for start in range(0, len(line), size):
        found += decoder.feed(line[start : start + size])
    assert found == sent
    assert decoder.damaged == 0


@given(frames, frames, st.data())
def test_a_damaged_byte_loses_its_frame_alone(first, second, data):
    damaged = bytearray(first.to_bytes())
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    decoder = Decoder(limit=20)
    found = decoder.feed(bytes(damaged) + second.to_bytes())
    assert found + decoder.flush() == [second]


@given(st.binary(max_size=60), frames)
def test_a_frame_behind_noise_is_found(noise, frame):
    decoder = Decoder(limit=40)
    found = decoder.feed(noise + frame.to_bytes())
    found += decoder.flush()
    assert found[-1] == frame


def test_a_decoder_that_does_not_check_would_be_seen(monkeypatch):
    sent = bytearray(Frame(1, 2, b"abc").to_bytes())
    sent[6] ^= 1
    assert Decoder().feed(bytes(sent)) == []
    monkeypatch.setattr(zlib, "crc32", lambda body: int.from_bytes(sent[-4:], "little"))
    assert Decoder().feed(bytes(sent)) != []


def test_an_incomplete_frame_does_not_hold_others_for_ever():
    decoder = Decoder()
    hidden = Frame(1, 2)
    assert decoder.feed(bytes([SYNC, 1, 1, 200, 0]) + hidden.to_bytes()) == []
    assert decoder.flush() == [hidden]


@given(st.integers(1, 70), st.lists(st.integers(0, 1 << 70), max_size=9))
def test_codes_lie_side_by_side(width, numbers):
    codes = [number % (1 << width) for number in numbers]
    content = packed(codes, width)
    assert len(content) == packed_bytes(width, len(codes))
    whole = int.from_bytes(content, "little")
    assert whole == sum(code << width * index for index, code in enumerate(codes))


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_arrays_are_packed_like_lists(kind):
    codes = np.array([[1, 2], [3, 0]], kind)
    assert packed(codes, 2) == packed([1, 2, 3, 0], 2) == b"\x39"
