import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from narrowgauge.hw.errors import DataError, FormatError
from narrowgauge.hw.numbers.formats import Bipolar, parse
from narrowgauge.model.data import DATASETS, Dataset, input_scale, load

FIRST_TEST_LABELS = [1, 5, 9, 2, 4, 5, 6, 7, 9, 3, 4, 6]
TEST_PIXEL_SUM = 140063
FORMATS = ["uint1", "uint4", "uint8", "int8", "pow2_4", "bipolar"]


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def dataset(pixel_max):
    images, labels = np.zeros((2, 3, 5, 2), np.uint8), np.zeros(2, np.int64)
    return Dataset("small", images, labels, images, labels, 1, pixel_max, parse("uint8"))


def exact_levels(images, fmt, pixel_max):
    """The formula, on every pixel."""
    pixels = images.astype(np.float64)
    if fmt == Bipolar():
        return fmt.quantize(2 * pixels - pixel_max)
    return fmt.quantize(pixels * fmt.max_level / pixel_max)


def test_digits_are_split_by_class(digits):
    assert digits.train_images.shape == (1347, 8, 8, 1)
    assert digits.test_images.shape == (450, 8, 8, 1)
    assert (digits.inputs, digits.classes, digits.image_shape) == (64, 10, (8, 8, 1))
    assert digits.train_images.dtype == np.uint8
    assert digits.train_images.max() == digits.pixel_max == 16
    everything = np.bincount(np.concatenate([digits.train_labels, digits.test_labels]))
    share = np.bincount(digits.test_labels) / everything
    assert (abs(share - 0.25) < 0.005).all()


def test_the_split_never_changes(digits):
    again = load("digits")
    assert np.array_equal(again.test_images, digits.test_images)
    # a changed split would make published accuracies incomparable
    assert digits.test_labels[:12].tolist() == FIRST_TEST_LABELS
    assert int(digits.test_images.astype(int).sum()) == TEST_PIXEL_SUM


def test_the_shape_of_an_image():
    assert dataset(255).image_shape == (3, 5, 2)
    assert dataset(255).inputs == 30


def test_pixels_as_levels_by_hand(digits):
    pixels = np.array([[0, 1, 7, 8, 9, 16]], np.uint8)
    assert digits.levels(pixels, parse("uint4")).tolist() == [[0, 1, 7, 8, 8, 15]]
    assert digits.levels(pixels, parse("uint1")).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert digits.levels(pixels, parse("int4")).tolist() == [[0, 0, 3, 4, 4, 7]]
    assert digits.levels(pixels, parse("bipolar")).tolist() == [[-1, -1, -1, 1, 1, 1]]
    assert digits.levels(pixels, parse("uint8")).tolist() == [[0, 16, 112, 128, 143, 255]]
    assert digits.values(pixels).tolist() == [[0, 0.0625, 0.4375, 0.5, 0.5625, 1]]


@pytest.mark.parametrize("name", FORMATS)
def test_levels_are_levels_of_the_format(digits, name):
    fmt = parse(name)
    levels = digits.levels(digits.train_images, fmt)
    assert levels.shape == digits.train_images.shape
    assert fmt.holds(levels).all()
    assert input_scale(fmt) * fmt.max_level == pytest.approx(1)


def test_pixels_can_be_their_own_levels():
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 8, 8, 2)
    assert np.array_equal(dataset(255).levels(pixels, parse("uint8")), pixels)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("bipolar", np.int16),
        ("uint8", np.int16),
        ("int16", np.int16),
        ("uint16", np.int32),
        ("pow2_6", np.int32),
        ("int32", np.int32),
        ("uint32", np.int64),
    ],
)
def test_levels_are_as_narrow_as_they_can_be(name, dtype):
    pixels, fmt = np.array([0, 255], np.uint8), parse(name)
    levels = dataset(255).levels(pixels, fmt)
    assert levels.dtype == dtype
    assert levels.tolist() == exact_levels(pixels, fmt, 255).tolist()
    assert levels[1] == fmt.max_level


@given(
    pixel_max=st.integers(1, 255),
    fmt=st.one_of(
        st.sampled_from(["bipolar", "pow2_2", "pow2_4", "pow2_6"]),
        st.integers(1, 32).map("uint{}".format),
        st.integers(1, 32).map("int{}".format),
    ).map(parse),
    seed=st.integers(0, 2**32 - 1),
    chunk=st.integers(1, 300),
)
def test_looked_up_levels_are_those_of_the_formula(pixel_max, fmt, seed, chunk):
    images = np.random.default_rng(seed).integers(0, pixel_max + 1, (3, 6, 5, 3)).astype(np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("narrowgauge.model.data.dataset._CHUNK", chunk)
        levels = dataset(pixel_max).levels(images, fmt)
        turned = dataset(pixel_max).levels(images.transpose(0, 3, 1, 2), fmt)
    assert np.array_equal(levels, exact_levels(images, fmt, pixel_max))
    assert np.array_equal(turned, levels.transpose(0, 3, 1, 2))


def test_errors_say_what_there_is():
    with pytest.raises(DataError, match=r"'imagenet'.*cifar10, digits, .*mnist.*folder:PATH"):
        load("imagenet")
    assert {"digits", "mnist", "fashion-mnist", "cifar10", "kws", "svhn"} == set(DATASETS)
    with pytest.raises(FormatError, match="int1"):
        input_scale(parse("int1"))


def test_digits_need_no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("NARROWGAUGE_DATA", str(tmp_path / "absent"))
    assert load("digits").name == "digits"


def test_importing_loads_no_library_of_a_single_data_set():
    code = "import sys, narrowgauge.model.data; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert not {"scipy", "sklearn", "PIL", "pooch", "requests"} & set(done.stdout.split())
