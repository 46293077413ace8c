"""Files in their real formats, small and generated, with the checksums of what was generated."""

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from scipy.io import savemat

from narrowgauge.hw.errors import DataError
from narrowgauge.model.data import cifar, fetch, idx, load, svhn
from narrowgauge.model.data.cifar import decode_records
from narrowgauge.model.data.fetch import Remote
from narrowgauge.model.data.idx import decode_idx
from narrowgauge.model.data.svhn import decode_mat

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
RANDOM = np.random.default_rng(0)


def idx_file(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_files(seed):
    random = np.random.default_rng(seed)
    files = {}
    for part, count in (("train", 6), ("t10k", 4)):
        images, labels = random.integers(0, 256, (count, 28, 28)), random.integers(0, 10, count)
        files[f"{part}-images-idx3-ubyte"] = idx_file(images)
        files[f"{part}-labels-idx1-ubyte"] = idx_file(labels)
    return files


def mat_file(images, labels):
    file = io.BytesIO()
    pixels = images.transpose(1, 2, 3, 0)
    savemat(file, {"X": pixels, "y": labels.reshape(-1, 1).astype(np.uint8)}, do_compression=True)
    return file.getvalue()


IMAGES = RANDOM.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
RECORDS = [
    bytes([label]) + image.transpose(2, 0, 1).tobytes()
    for image, label in zip(IMAGES, (9, 0, 4), strict=True)
]
FILES = {
    "mnist": idx_files(1),
    "fashion-mnist": idx_files(2),
    "cifar10": {
        **{f"data_batch_{number}.bin": RECORDS[number % 3] for number in range(1, 6)},
        "test_batch.bin": b"".join(RECORDS),
    },
    "svhn": {
        "train_32x32.mat": mat_file(IMAGES, np.array([1, 10, 9])),
        "test_32x32.mat": mat_file(IMAGES[::-1], np.array([10, 2, 3])),
    },
}
WHERE = {
    "mnist": (idx, "MNIST"),
    "fashion-mnist": (idx, "FASHION_MNIST"),
    "cifar10": (cifar, "CIFAR10"),
    "svhn": (svhn, "SVHN"),
}
FIRST = {name: next(iter(files)) for name, files in FILES.items()}
FOLDERS = {name: getattr(*where).folder for name, where in WHERE.items()}


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def trust(monkeypatch, name, **changes):
    """Let the checksums be those of the generated files."""
    module, variable = WHERE[name]
    files = {file: md5(content) for file, content in FILES[name].items()}
    source = replace(getattr(module, variable), **{"files": files, **changes})
    monkeypatch.setattr(module, variable, source)


def write(folder, files, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}{suffix}").write_bytes(PACK[suffix](content))


def tar(files, folder="cifar-10-batches-bin", suffix=".gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in {"readme.html": b"read me", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return PACK[suffix](file.getvalue())


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty NARROWGAUGE_DATA, an empty cache, checksums of the small files, and no network."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("NARROWGAUGE_DATA", str(folder))
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path / "cache"))
    for name in FILES:
        trust(monkeypatch, name)

    def retrieve(url, *_):
        raise ConnectionError(f"no network for {url}")

    monkeypatch.setattr("pooch.retrieve", retrieve)
    return folder


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server of ``www``, and its address."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    (tmp_path / "www").mkdir()
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("NARROWGAUGE_DATA", raising=False)
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path / "cache"))
    handler = partial(Handler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def fails(name, *parts):
    """Loading is an error of one line with all ``parts``."""
    with pytest.raises(DataError) as raised:
        load(name)
    text = str(raised.value)
    assert "\n" not in text
    for part in parts:
        assert part in text
    return text


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", FILES)
def test_packed_or_not_beside_or_in_its_folder(data, name, suffix):
    write(data / FOLDERS[name], FILES[name], suffix)
    inside = load(name)
    (data / FOLDERS[name]).rename(data.parent / "elsewhere")
    write(data, FILES[name], suffix)
    beside = load(name)
    assert np.array_equal(inside.train_images, beside.train_images)
    assert inside.name == name
    assert inside.train_images.dtype == inside.test_images.dtype == np.uint8
    assert inside.train_labels.dtype == inside.test_labels.dtype == np.int64
    assert inside.train_images.flags.writeable
    assert inside.train_images.flags.c_contiguous
    assert len(inside.class_names) in (0, inside.classes)
    assert (inside.classes, inside.pixel_max, str(inside.input)) == (10, 255, "uint8")
    before = {path for path in data.rglob("*") if path.is_file()}
    assert before == {data / f"{file}{suffix}" for file in FILES[name]}  # nothing was unpacked
    assert not (data.parent / "cache").exists()


def test_mnist_is_what_its_files_say(data):
    write(data / "mnist", FILES["mnist"], ".gz")
    mnist = load("mnist")
    files = FILES["mnist"]
    assert mnist.train_images.shape == (6, 28, 28, 1)
    assert mnist.test_images.shape == (4, 28, 28, 1)
    assert mnist.train_images.tobytes() == files["train-images-idx3-ubyte"][16:]
    assert bytes(mnist.test_labels.tolist()) == files["t10k-labels-idx1-ubyte"][8:]


def test_sets_with_equal_file_names_are_told_apart(data):
    write(data / "mnist", FILES["mnist"])
    write(data / "fashion-mnist", FILES["fashion-mnist"])
    assert not np.array_equal(load("mnist").train_images, load("fashion-mnist").train_images)
    (data / "fashion-mnist").rename(data.parent / "elsewhere")
    write(data, FILES["mnist"])
    fails("fashion-mnist", f"{data}/train-images-idx3-ubyte does not hold", "of fashion-mnist")


def test_cifar10_is_channels_last(data):
    write(data, FILES["cifar10"])
    cifar10 = load("cifar10")
    assert np.array_equal(cifar10.test_images, IMAGES)
    assert cifar10.test_labels.tolist() == [9, 0, 4]
    assert np.array_equal(cifar10.train_images, IMAGES[[1, 2, 0, 1, 2]])
    assert cifar10.class_names[4] == "deer"


@pytest.mark.parametrize("suffix", [".gz", ".xz", ""])
def test_cifar10_from_its_archive(data, suffix):
    content = tar(FILES["cifar10"], suffix=suffix)  # a browser may have unpacked it
    (data / "cifar-10-binary.tar.gz").write_bytes(content)
    assert np.array_equal(load("cifar10").test_images, IMAGES)
    assert [path.name for path in data.rglob("*")] == ["cifar-10-binary.tar.gz"]


def test_svhn_label_10_is_0(data):
    write(data, FILES["svhn"])
    digits = load("svhn")
    assert digits.train_labels.tolist() == [1, 0, 9]
    assert digits.test_labels.tolist() == [0, 2, 3]
    assert np.array_equal(digits.train_images, IMAGES)
    assert np.array_equal(digits.test_images, IMAGES[::-1])


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file(data, name, suffix):
    write(data, FILES[name], suffix)
    path = data / f"{FIRST[name]}{suffix}"
    path.write_bytes(path.read_bytes()[:-9])
    fails(name, str(path), "damaged" if suffix else "MD5", "replace it, or remove it")


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte(data, name, suffix):
    write(data, FILES[name], suffix)
    path = data / f"{FIRST[name]}{suffix}"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    fails(name, str(path), "replace it, or remove it")


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
@pytest.mark.parametrize("content", [b"", b"plain text"])
def test_a_file_that_is_not_packed_as_its_name_says(data, suffix, content):
    write(data, FILES["mnist"], suffix)
    (data / f"{FIRST['mnist']}{suffix}").write_bytes(content)
    fails("mnist", f"{FIRST['mnist']}{suffix}")


def test_a_wrong_checksum_names_both(data):
    write(data, FILES["mnist"])
    other = FILES["fashion-mnist"][FIRST["mnist"]]
    (data / FIRST["mnist"]).write_bytes(other)
    fails("mnist", FIRST["mnist"], md5(other), md5(FILES["mnist"][FIRST["mnist"]]))


def test_a_damaged_archive(data):
    path, content = data / "cifar-10-binary.tar.gz", tar(FILES["cifar10"])
    path.write_bytes(content[: len(content) // 2])
    fails("cifar10", str(path), "damaged")
    path.write_bytes(b"no archive")
    fails("cifar10", str(path), "damaged")
    path.write_bytes(tar({**FILES["cifar10"], "data_batch_3.bin": RECORDS[1]}))
    fails("cifar10", str(path), "data_batch_3.bin", "MD5")
    path.write_bytes(tar(FILES["cifar10"], folder="../cifar-10-batches-bin"))
    fails("cifar10", str(path), "cifar-10-batches-bin/data_batch_1.bin is not in it")


def test_an_unreadable_file(data, monkeypatch):
    write(data, FILES["mnist"], ".gz")

    def refuse(path, _):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setitem(fetch._OPENERS, ".gz", refuse)
    fails("mnist", FIRST["mnist"], "(Permission denied)")


# --- formats, behind right checksums -----------------------------------------------------------


def test_idx_by_hand():
    content = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6])
    assert decode_idx(content, 2, "x").tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda content: b"", "begins with nothing"),
        (lambda content: content[:9], "not an idx file"),
        (lambda content: b"\1" + content[1:], "begins with 01 00 08 03, not 00 00 08 03"),
        (lambda content: content[:2] + b"\x0d" + content[3:], "00 00 0d 03"),
        (lambda content: content[:3] + b"\1" + content[4:], "00 00 08 01"),
        (lambda content: content[:-1], "has 23 elements, its head says 24"),
        (lambda content: content + b"\0", "has 25 elements"),
        (lambda content: content[:7] + b"\3" + content[8:], "its head says 36"),
    ],
)
def test_a_wrong_idx_file(change, text):
    content = idx_file(np.zeros((2, 3, 4)))
    assert decode_idx(content, 3, "x").shape == (2, 3, 4)
    with pytest.raises(DataError, match=text):
        decode_idx(change(content), 3, "x")


@pytest.mark.parametrize("labels", [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 10], []])
def test_labels_that_do_not_fit_the_images(data, monkeypatch, labels):
    name = "train-labels-idx1-ubyte"
    monkeypatch.setitem(FILES, "mnist", {**FILES["mnist"], name: idx_file(np.array(labels))})
    trust(monkeypatch, "mnist")
    write(data, FILES["mnist"])
    fails("mnist", name, "each of the 6 images", f"it has {len(labels)}")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "0 bytes, not a multiple of 3073"),
        (RECORDS[0][:-1], "3072 bytes"),
        (RECORDS[0] + b"\0", "3074 bytes"),
        (b"\x0a" + RECORDS[0][1:], "label 10, above 9"),
    ],
)
def test_wrong_records(content, text):
    assert decode_records(RECORDS[0], "x")[1].tolist() == [9]
    with pytest.raises(DataError, match=text):
        decode_records(content, "x")


def without(variable):
    file = io.BytesIO()
    savemat(file, {variable: np.zeros((1, 1), np.uint8)})
    return file.getvalue()


GOOD = mat_file(IMAGES, np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a MATLAB file"),
        (b"no MATLAB file" * 99, "not a MATLAB file"),
        (GOOD[: len(GOOD) // 2], "not a MATLAB file"),
        (without("X"), r"images X and labels y \(KeyError\)"),
        (without("y"), r"images X and labels y \(KeyError\)"),
        (mat_file(IMAGES, np.array([1, 2])), r"\(32, 32, 3, 2\), one a label; .* \(32, 32, 3, 3\)"),
        (mat_file(IMAGES.astype(float), np.array([1, 2, 3])), "float64"),
        (mat_file(IMAGES, np.array([0, 2, 3])), "labels 1 to 10"),
        (mat_file(IMAGES, np.array([1, 2, 11])), "labels 1 to 10"),
    ],
)
def test_a_wrong_mat_file(content, text):
    assert decode_mat(GOOD, "x")[1].tolist() == [1, 2, 3]
    with pytest.raises(DataError, match=text):
        decode_mat(content, "x")


# --- where files come from ---------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_offline_says_what_to_put_where(data, name, capfd):
    text = fails(name, *FILES[name], "NARROWGAUGE_DATA", str(data), FOLDERS[name])
    assert str(data.parent / "cache" / FOLDERS[name]) in text
    assert ("cifar-10-binary.tar.gz," in text) == (name == "cifar10")
    assert capfd.readouterr() == ("", "")


def test_offline_names_only_what_is_missing(data):
    write(data, FILES["mnist"])
    (data / FIRST["mnist"]).unlink()
    text = fails("mnist", FIRST["mnist"])
    assert "t10k" not in text


def test_the_data_folder_must_be_one(data, monkeypatch):
    (data / "file").touch()
    for path in (data / "absent", data / "file"):
        monkeypatch.setenv("NARROWGAUGE_DATA", str(path))
        fails("mnist", f"NARROWGAUGE_DATA is '{path}', which is not a folder", "unset it")
    monkeypatch.setenv("NARROWGAUGE_DATA", "")  # as if unset
    fails("mnist", "not set")


def test_the_data_folder_goes_before_the_cache(data):
    write(data.parent / "cache" / "mnist", FILES["mnist"])
    assert len(load("mnist").test_images) == 4
    write(data, FILES["mnist"] | {FIRST["mnist"]: b"damaged"})
    fails("mnist", str(data / FIRST["mnist"]))


def test_without_a_variable_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("NARROWGAUGE_CACHE", raising=False)
    import pooch

    assert idx.MNIST.cache == pooch.os_cache("narrowgauge") / "mnist"


def serve(monkeypatch, tmp_path, server, name):
    """Put the files of a data set on the server, packed as they are in the real world."""
    www = tmp_path / "www"
    if name == "cifar10":
        content = tar(FILES[name])
        (www / "cifar-10-binary.tar.gz").write_bytes(content)
        trust(monkeypatch, name, archive=Remote(f"{server}/cifar-10-binary.tar.gz", md5(content)))
        return
    suffix = "" if name == "svhn" else ".gz"
    remotes = {}
    for file, content in FILES[name].items():
        packed = PACK[suffix](content)
        (www / f"{file}{suffix}").write_bytes(packed)
        remotes[file] = Remote(f"{server}/{file}{suffix}", md5(packed))
    trust(monkeypatch, name, remotes=remotes)


def emptied(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize("name", FILES)
def test_downloads_are_kept(monkeypatch, tmp_path, server, name, capfd):
    serve(monkeypatch, tmp_path, server, name)
    first = load(name)
    emptied(tmp_path / "www")
    again = load(name)
    assert np.array_equal(first.train_images, again.train_images)
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {FOLDERS[name]}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_download_is_refused_and_not_kept(monkeypatch, tmp_path, server, name):
    serve(monkeypatch, tmp_path, server, name)
    for path in (tmp_path / "www").iterdir():
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    fails(name, server, "is no longer the known file", "expected")
    assert list((tmp_path / "cache" / FOLDERS[name]).iterdir()) == []


def test_a_download_that_is_gone(monkeypatch, tmp_path, server, capfd):
    serve(monkeypatch, tmp_path, server, "mnist")
    emptied(tmp_path / "www")
    fails("mnist", f"{server}/{FIRST['mnist']}.gz cannot be downloaded (HTTP status 404)")
    assert capfd.readouterr() == ("", "")


def test_no_server(monkeypatch, tmp_path, server, capfd):
    serve(monkeypatch, tmp_path, server, "svhn")
    nobody = Remote("http://127.0.0.1:9/train_32x32.mat", "0" * 32)
    trust(monkeypatch, "svhn", remotes={name: nobody for name in FILES["svhn"]})
    fails("svhn", "127.0.0.1:9", "(ConnectionError)", "not set")
    assert capfd.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path, server):
    serve(monkeypatch, tmp_path, server, "mnist")
    (tmp_path / "cache").write_text("a file")
    fails("mnist", str(tmp_path / "cache"), "cannot be downloaded")
