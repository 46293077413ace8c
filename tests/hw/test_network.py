import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as to_safetensors

from narrowgauge.hw.arithmetic import Accumulator
from narrowgauge.hw.errors import FormatError, GeometryError, NetworkError
from narrowgauge.hw.network import Dense, Network, load, save
from narrowgauge.hw.number import Fixed, parse


def dense(name, weight, input, output, outputs, inputs, seed=0):
    chance = np.random.default_rng(seed)
    fmt = parse(weight)
    return Dense(
        name=name,
        weight=fmt,
        input=parse(input),
        output=parse(output),
        weights=fmt.to_level(chance.integers(0, 1 << fmt.width, (outputs, inputs))),
        bias=chance.integers(-(2**40), 2**40, outputs),
        multiplier=chance.integers(1, 2**20, outputs),
        shift=int(chance.integers(0, 41)),
    )


def small():
    layers = (
        dense("first", "int8", "uint4", "uint8", 3, 5),
        dense("last", "int16", "uint8", "int32", 2, 3),
    )
    return Network("small", layers, Accumulator(20, "saturate"), {"dataset": "digits", "n": [1, 2]})


def same(one, other):
    assert (one.name, one.accumulator, dict(one.about)) == (
        other.name,
        other.accumulator,
        dict(other.about),
    )
    assert len(one.layers) == len(other.layers)
    for a, b in zip(one, other, strict=True):
        assert (a.name, a.weight, a.input, a.output, a.shift) == (
            b.name, b.weight, b.input, b.output, b.shift,
        )  # fmt: skip
        for array in ("weights", "bias", "multiplier"):
            assert getattr(a, array).dtype == np.int64
            assert np.array_equal(getattr(a, array), getattr(b, array))


def test_sizes_by_hand():
    network = small()
    assert (network.inputs, network.outputs) == (5, 2)
    assert (network.input, network.output) == (parse("uint4"), parse("int32"))
    assert [layer.macs for layer in network] == [15, 6]
    assert network.parameter_bits == 15 * 8 + 6 * 16
    assert network.with_accumulator(Accumulator(9)).accumulator == Accumulator(9)


def test_file_round_trip(tmp_path):
    path = tmp_path / "new folder" / "small.network"
    save(small(), path)
    same(load(path), small())
    first = path.read_bytes()
    save(load(path), path)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == ["small.network"]


@given(
    st.sampled_from(["bipolar", "pow2_2", "pow2_4", "pow2_6", "int2", "int4", "int8", "int32"]),
    st.sampled_from(["bipolar", "uint4", "int8", "uint32"]),
    st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1),
    st.text(max_size=8),
)  # fmt: skip
def test_file_round_trip_of_every_format(
    tmp_path_factory, weight, input, outputs, inputs, seed, name
):
    path = tmp_path_factory.getbasetemp() / "random.network"
    layer = dense("a" + name, weight, input, "int32", outputs, inputs, seed)
    network = Network(name, (layer,), Accumulator(7), {"text": name})
    save(network, path)
    same(load(path), network)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(NetworkError, match=r"nothing\.network"):
        load(tmp_path / "nothing.network")
    with pytest.raises(NetworkError):
        load(tmp_path)


def test_every_truncation_is_an_error(tmp_path):
    path = tmp_path / "cut.network"
    save(small(), path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(NetworkError, match=r"cut\.network"):
            load(path)


@given(st.data())
def test_damage_raises_no_other_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.network"
    save(small(), path)
    content = bytearray(path.read_bytes())
    (header,) = struct.unpack("<Q", content[:8])
    position = data.draw(st.integers(0, 8 + header - 1))
    content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        load(path)
    except NetworkError as error:
        assert "damaged.network" in str(error)  # noqa: PT017


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04pickle", b"\xff" * 64, bytes(64)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match="other"):
        load(path)


def test_other_safetensors_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(to_safetensors({"a": np.zeros(3)}))
    with pytest.raises(NetworkError, match="not written by narrowgauge"):
        load(path)


def written(path, change):
    """Write the small network with its header changed by ``change``."""
    save(small(), path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    header = json.loads(outer["__metadata__"]["narrowgauge"])
    header = change(header) or header
    outer["__metadata__"]["narrowgauge"] = json.dumps(header)
    text = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


def test_another_version_says_what_to_do(tmp_path):
    path = written(tmp_path / "old", lambda header: header.update(version=99))
    with pytest.raises(NetworkError, match=r"version 99.*version 1.*export"):
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.pop("layers"),
        lambda header: header.pop("version"),
        lambda header: header.update(layers=[]),
        lambda header: header.update(layers=3),
        lambda header: header.update(accumulator={"width": 99, "overflow": "wrap"}),
        lambda header: header.update(accumulator={"width": "9", "overflow": "wrap"}),
        lambda header: header.update(accumulator=None),
        lambda header: header["layers"][0].update(weight="int99"),
        lambda header: header["layers"][0].update(weight=8),
        lambda header: header["layers"][0].update(kind="pool"),
        lambda header: header["layers"][0].update(shift="1"),
        lambda header: header["layers"][0].update(output="uint4"),
        lambda header: header["layers"].append(header["layers"][0]),
        lambda header: ["a list"],
    ],
)
def test_inconsistent_headers_are_refused(tmp_path, change):
    def changed(header):
        result = change(header)
        return result if result == ["a list"] else header

    with pytest.raises(NetworkError, match="strange"):
        load(written(tmp_path / "strange", changed))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"weights": np.zeros((3, 0))}, "weights have shape"),
        ({"weights": np.zeros(3)}, "weights have shape"),
        ({"bias": np.zeros(4)}, "bias has shape"),
        ({"multiplier": np.array([1, 0, 1])}, "positive"),
        ({"multiplier": np.ones((3, 1))}, "multiplier has shape"),
        ({"shift": -1}, "shift is 0 to 40"),
        ({"shift": 41}, "shift is 0 to 40"),
        ({"weights": np.full((3, 5), 128)}, "int8 holds"),
        ({"weight": parse("pow2_4"), "weights": np.full((3, 5), 3)}, "powers of two"),
        ({"output": parse("pow2_4")}, "an output is bipolar, intN or uintN, not pow2_4"),
        ({"input": parse("pow2_3")}, "an input is bipolar, intN or uintN, not pow2_3"),
    ],
)
def test_impossible_layers_are_refused_by_name(change, text):
    with pytest.raises(NetworkError, match=f"first.*{text}"):
        replace(dense("first", "int8", "uint4", "uint8", 3, 5), **change)


def test_layers_that_do_not_meet_are_refused():
    network = small()
    first, last = network.layers
    with pytest.raises(NetworkError, match="last takes 3 x uint8"):
        replace(network, layers=(replace(first, output=Fixed(8)), last))
    with pytest.raises(NetworkError, match="no layers"):
        replace(network, layers=())


def test_errors_are_of_one_family():
    for error in (NetworkError, FormatError, GeometryError):
        assert issubclass(error, ValueError)
