import hashlib
import json
import random
import struct
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from narrowgauge.hw.errors import NetworkError
from narrowgauge.hw.network import file as network_file
from narrowgauge.hw.network.file import from_bytes, load, save, to_bytes
from narrowgauge.hw.network.layers import Size, Window
from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.hw.numbers.formats import Fixed
from narrowgauge.model.zoo import networks as zoo

from ..networks import convnets, random_exits
from .test_network import dense, residual, small


def same(one, other):
    """Compare two networks field by field."""
    for name in ("name", "accumulator", "input_size", "sizes"):
        assert getattr(one, name) == getattr(other, name)
    assert dict(one.about) == dict(other.about)
    for a, b in zip(one.layers, other.layers, strict=True):
        assert type(a) is type(b)
        for field in fields(a):
            left, right = getattr(a, field.name), getattr(b, field.name)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype == np.int64
                assert np.array_equal(left, right)
            else:
                assert (type(left), left) == (type(right), right)


@pytest.mark.parametrize("make", [small, residual])
def test_file_round_trip(tmp_path, make):
    path = tmp_path / "new folder" / "a.network"
    save(make(), path)
    same(load(path), make())
    first = path.read_bytes()
    save(load(path), path)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == ["a.network"]


@given(convnets())
def test_round_trip_of_every_kind(network):
    content = to_bytes(network)
    same(from_bytes(content, origin="random"), network)
    assert to_bytes(from_bytes(content, origin="random")) == content


def test_what_version_2_can_say_stays_version_2():
    """Byte by byte: the zoo was trained before clamps, roundings and thresholds."""
    files = sorted(Path(zoo.__file__).parent.glob("*.network"))
    assert files
    for path in files:
        assert to_bytes(load(path)) == path.read_bytes(), path.name
    assert header(to_bytes(residual()))["version"] == 2


def test_values_are_kept_and_told_apart():
    network = replace(small(), values=True)
    content = to_bytes(network)
    assert from_bytes(content, origin="values").values
    assert to_bytes(from_bytes(content, origin="values")) == content
    assert header(content)["values"] is True
    assert "values" not in header(to_bytes(small()))
    wrong = to_bytes(network, digest=False).replace(b'values\\": true', b'values\\": 1111')
    with pytest.raises(
        NetworkError, match="values is true or false, or a list of layers, not 1111"
    ):
        from_bytes(wrong, origin="values")


@pytest.mark.parametrize(
    "change",
    [
        {"low": -7}, {"high": 0}, {"rounding": "half_even"},
        {"bias": [0, 0], "multiplier": [1, 1], "shift": 0,
         "thresholds": np.sort(np.arange(510).reshape(2, 255) * 977 % 4099)},
    ],
)  # fmt: skip
def test_what_version_2_cannot_say_is_version_3(change):
    network = residual()
    layers = list(network.layers)
    layers[0] = replace(layers[0], **change)
    changed = replace(network, layers=tuple(layers))
    content = to_bytes(changed)
    same(from_bytes(content, origin="changed"), changed)
    read = header(content)
    assert read["version"] == 3
    new = {"low", "high", "rounding", "thresholds"}
    assert new & read["layers"][0].keys() == new & change.keys() - {"thresholds"}
    assert not any(new & layer.keys() for layer in read["layers"][1:])


@given(
    st.lists(st.integers(2, 8), min_size=1, max_size=5), st.booleans(), st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_widths_of_channels_are_version_4_and_take_their_bits(widths, signed, inputs, seed):
    fmt = Fixed(8, signed=signed)
    formats, random = [Fixed(each, signed=signed) for each in widths], np.random.default_rng(seed)
    rows = [random.integers(each.min_level, each.max_level + 1, inputs) for each in formats]
    layer = dense("first", str(fmt), "uint4", "int32", len(widths), inputs)
    layer = replace(layer, weights=np.stack(rows), widths=widths)
    network = Network("wide", (layer,), Accumulator(20))
    content = to_bytes(network)
    same(from_bytes(content, origin="wide"), network)
    assert to_bytes(from_bytes(content, origin="wide")) == content
    read, size = header(content), from_safetensors(content)["0.weights"].size
    all_wide = set(widths) == {8}
    assert (read["version"], "widths" in read["layers"][0]) == (
        (2, False) if all_wide else (4, True)
    )
    assert size == -(-sum(widths) * inputs // 8)


@pytest.mark.parametrize("widths", [[2], [9, 2], [0, 2], ["4", 2], 3, [2, 2.0], [4, 8]])
def test_damaged_widths_are_refused(tmp_path, widths):
    def narrow():
        layer = replace(dense("first", "int8", "uint4", "int32", 2, 3), weights=np.ones((2, 3)))
        return Network("wide", (replace(layer, widths=(4, 2)),), Accumulator(20))

    path = written(tmp_path / "a", lambda header: header["layers"][0].update(widths=widths), narrow)
    with pytest.raises(NetworkError, match="a: "):
        load(path)


@pytest.mark.parametrize("shape", [[float("inf"), 3], [-2, -3], [2], [], 3, [2, 10**12]])
def test_damaged_shapes_are_refused(tmp_path, shape):
    path = written(tmp_path / "a", lambda header: header["layers"][0].update(shape=shape))
    with pytest.raises(NetworkError, match="a: "):
        load(path)


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (0, {"shift": 3}),
        (0, {"low": -7}),
        (1, {"high": 100}),
        (3, {"rounding": "half_even"}),
        (0, {"window": Window((3, 3), (1, 1), (2, 1, 0, 1))}),
        (1, {"summands": (255, 2)}),
        (2, {"window": Window((2, 3), (1, 2), (0, 0, 0, 1))}),
        (3, {"bias": [6]}),
        (4, {"name": "end"}),
    ],
)
def test_a_changed_field_is_another_network(layer, change):
    network = residual()
    layers = list(network.layers)
    layers[layer] = replace(layers[layer], **change)
    changed = from_bytes(to_bytes(replace(network, layers=tuple(layers))), origin="changed")
    with pytest.raises(AssertionError):
        same(changed, network)


@given(
    st.sampled_from(
        ["bipolar", "pow2_2", "pow2_4", "pow2_6", "e2m1", "e5m10", "int2", "int8", "int32"]
    ),
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


def test_the_digest_is_what_the_page_says():
    content = to_bytes(small())
    read = header(content)
    digest = read.pop("digest")
    pieces = [json.dumps(read, sort_keys=True).encode()]
    for name, array in sorted(from_safetensors(content).items()):
        shape = f"({', '.join(map(str, array.shape))}{',' * (array.ndim == 1)})"
        pieces += [f"{name} {array.dtype.str} {shape}".encode(), array.tobytes()]
    whole = b"".join(struct.pack("<Q", len(piece)) + piece for piece in pieces)
    assert hashlib.sha256(whole).hexdigest() == digest


def test_missing_file_is_named(tmp_path):
    with pytest.raises(NetworkError, match="/dev/zero: a device"):
        load("/dev/zero")
    with pytest.raises(NetworkError, match=r"nothing\.network"):
        load(tmp_path / "nothing.network")
    with pytest.raises(NetworkError):
        load(tmp_path)


def test_every_truncation_is_an_error(tmp_path):
    path = tmp_path / "cut.network"
    save(residual(), path)
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(NetworkError, match=r"cut\.network"):
            load(path)


@given(st.data())
def test_damage_raises_no_other_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.network"
    save(data.draw(st.sampled_from([small, residual]))(), path)
    content = bytearray(path.read_bytes())
    (header,) = struct.unpack("<Q", content[:8])
    position = data.draw(st.integers(0, 8 + header - 1))
    content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        load(path)
    except NetworkError as error:
        assert "damaged.network" in str(error)  # noqa: PT017


def mutated(content, chance):
    """Flip a bit, set a byte, copy a piece elsewhere, drop or add some bytes."""
    content = bytearray(content)
    at, length = chance.randrange(len(content)), chance.choice((1, 2, 4, 16, 64))
    match chance.randrange(8):
        case 0:
            content[at] = chance.randrange(256)
        case 1:
            start = chance.randrange(len(content))
            content[at : at + length] = content[start : start + length]
        case 2:
            del content[at : at + length]
        case 3:
            content[at:at] = chance.randbytes(length)
        case _:
            content[at] ^= 1 << chance.randrange(8)
    return bytes(content)


def wrongly_loaded(count):
    """Load so many damaged files; return of how many the network is another."""
    chance, wrong = random.Random(0), 0
    files = to_bytes(small()), to_bytes(residual())
    for index in range(count):
        whole = files[index % 2]
        try:
            loaded = from_bytes(mutated(whole, chance), origin="damaged")
        except NetworkError:
            continue
        wrong += to_bytes(loaded) != whole
    return wrong


def test_a_damaged_file_is_refused_or_the_same_network(monkeypatch):
    assert wrongly_loaded(3000) == 0
    monkeypatch.setattr(network_file, "_digest", lambda header, arrays: header["name"])
    assert wrongly_loaded(300) > 10  # as without digests


def test_a_file_without_a_digest_is_read_but_no_remainder_of_one(tmp_path):
    same(load(written(tmp_path / "old", lambda header: None)), small())
    with pytest.raises(NetworkError, match="the header has 'digesT', which is not known"):
        load(written(tmp_path / "strange", lambda header: header.update(digesT="0")))
    with pytest.raises(NetworkError, match="damaged, or changed by hand"):
        load(written(tmp_path / "wrong", lambda header: header.update(digest="0")))


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


def written(path, change, make=small):
    """Write a network with its header changed by ``change``."""
    save(make(), path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    header = json.loads(outer["__metadata__"]["narrowgauge"])
    del header["digest"]  # as files once were
    header = change(header) or header
    outer["__metadata__"]["narrowgauge"] = json.dumps(header)
    text = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


def header(content):
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["narrowgauge"])


def test_another_version_says_what_to_do(tmp_path):
    path = written(tmp_path / "old", lambda header: header.update(version=99))
    with pytest.raises(NetworkError, match=r"version 99.*version 2.*export"):
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
        (lambda layers: layers[0].update(low=-200), "conv: a clamp lies in -128 to 127"),
        (lambda layers: layers[0].update(high="9"), "conv: high is an integer, not '9'"),
        (lambda layers: layers[0].update(rounding=None), "conv: rounding is half_up or half_even"),
        (lambda layers: layers[0].pop("window"), "strange"),
        (lambda layers: layers[0].update(window=None), "strange"),
        (lambda layers: layers[0]["window"].update(kernel=[5, 5]), "conv.*kernel"),
        (lambda layers: layers[0]["window"].update(padding=[3, 0, 0, 0]), "padding"),
        (lambda layers: layers[0].update(groups=4), "conv.*4 groups"),
        (lambda layers: layers[0].update(groups="2"), "strange"),
        (lambda layers: layers[1].update(summands=[0, 1]), "sum.*1 to 16383"),
        (lambda layers: layers[1].update(sources=["conv"]), "sum.*reads 2 tensors"),
        (lambda layers: layers[1].update(sources=["input", "mean"]), "sum reads mean"),
        (lambda layers: layers[2].update(window={"kernel": [9, 9]}), "largest.*9x9"),
        (lambda layers: layers[3].update(kind="mean_pool"), "mean.*there is dense, conv2d"),
    ],
)
def test_damaged_graphs_are_refused(tmp_path, change, text):
    path = written(tmp_path / "strange", lambda header: change(header["layers"]), residual)
    with pytest.raises(NetworkError, match=text) as caught:
        load(path)
    assert "strange" in str(caught.value)


def several(**options):
    spec = (Size(4, 4, 2), ("conv", 3, Window((2, 2)), 1), ("max", Window((3, 3))), ("dense", 5))
    exits = {"layer0": (("dense", 4), "int5")}
    return random_exits(3, ("int4", "uint4", "uint4"), spec, exits, Accumulator(20), **options)


@pytest.mark.parametrize("values", [False, True, ("layer0_exit",)])
def test_several_outputs_are_kept(values):
    network = several(values=values)
    loaded = from_bytes(to_bytes(network), origin="several")
    same(loaded, network)
    assert loaded.ends == network.ends
    assert [end.name for end in loaded.ends] == ["layer0_exit", "layer2"]
    assert "output_layers" not in header(to_bytes(small()))


def test_outputs_that_are_no_names_are_refused():
    content = to_bytes(several(), digest=False)
    for wrong in (b'[\\"layer0_exit\\", 12345678]', b'\\"layer0_exit______layer2\\"'):
        changed = content.replace(b'[\\"layer0_exit\\", \\"layer2\\"]', wrong.ljust(29))
        with pytest.raises(NetworkError, match="output_layers is a list of layers, not"):
            from_bytes(changed, origin="several")
