import numpy as np
import pytest

from narrowgauge.hw.errors import DataError, FormatError
from narrowgauge.hw.number import parse
from narrowgauge.model.data import DATASETS, input_scale, load

FIRST_TEST_LABELS = [1, 5, 9, 2, 4, 5, 6, 7, 9, 3, 4, 6]
TEST_PIXEL_SUM = 140063


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_digits_are_split_by_class(digits):
    assert (len(digits.train_images), len(digits.test_images)) == (1347, 450)
    assert (digits.inputs, digits.classes, digits.image_shape) == (64, 10, (8, 8))
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


def test_pixels_as_levels_by_hand(digits):
    pixels = np.array([[0, 1, 7, 8, 9, 16]], np.uint8)
    assert digits.levels(pixels, parse("uint4")).tolist() == [[0, 1, 7, 8, 8, 15]]
    assert digits.levels(pixels, parse("uint1")).tolist() == [[0, 0, 0, 1, 1, 1]]
    assert digits.levels(pixels, parse("int4")).tolist() == [[0, 0, 3, 4, 4, 7]]
    assert digits.levels(pixels, parse("bipolar")).tolist() == [[-1, -1, -1, 1, 1, 1]]
    assert digits.levels(pixels, parse("uint8")).tolist() == [[0, 16, 112, 128, 143, 255]]
    assert digits.values(pixels).tolist() == [[0, 0.0625, 0.4375, 0.5, 0.5625, 1]]


@pytest.mark.parametrize("name", ["uint1", "uint4", "uint8", "int8", "pow2_4", "bipolar"])
def test_levels_are_levels_of_the_format(digits, name):
    fmt = parse(name)
    assert fmt.holds(digits.levels(digits.train_images, fmt)).all()
    assert input_scale(fmt) * fmt.max_level == pytest.approx(1)


def test_errors_say_what_there_is():
    with pytest.raises(DataError, match=r"'mnist'.*digits"):
        load("mnist")
    assert "digits" in DATASETS
    with pytest.raises(FormatError, match="int1"):
        input_scale(parse("int1"))
