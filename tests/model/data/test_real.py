"""The published data sets, where ``NARROWGAUGE_DATA`` or the cache has them."""

import numpy as np
import pytest

from narrowgauge.hw.errors import DataError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.data import load

MNIST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
MNIST_TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


@pytest.fixture
def load_present(monkeypatch):
    """`load`, or a skipped test where files are missing; damaged ones are an error all the same."""

    def refuse(url, *_):
        raise ConnectionError("tests download nothing")

    def load_or_skip(name):
        monkeypatch.setattr("pooch.retrieve", refuse)
        try:
            return load(name)
        except DataError as error:
            if isinstance(error.__cause__, ConnectionError):
                pytest.skip(f"NARROWGAUGE_DATA has no {name}")
            raise

    return load_or_skip


def test_mnist(load_present):
    mnist = load_present("mnist")
    assert mnist.train_images.shape == (60000, 28, 28, 1)
    assert mnist.test_images.shape == (10000, 28, 28, 1)
    assert mnist.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.test_labels).tolist() == MNIST_COUNTS
    assert np.bincount(mnist.train_labels).tolist() == MNIST_TRAIN_COUNTS
    assert mnist.values(mnist.train_images[..., 0]).mean() == pytest.approx(0.1307, abs=5e-5)
    levels = mnist.levels(mnist.train_images, parse("uint8"))
    assert levels.dtype == np.int16
    assert np.array_equal(levels, mnist.train_images)


def test_fashion_mnist(load_present):
    fashion = load_present("fashion-mnist")
    assert fashion.train_images.shape == (60000, 28, 28, 1)
    assert fashion.test_images.shape == (10000, 28, 28, 1)
    assert np.bincount(fashion.test_labels).tolist() == [1000] * 10
    assert np.bincount(fashion.train_labels).tolist() == [6000] * 10
    assert fashion.class_names[fashion.test_labels[0]] == "Ankle boot"
    assert fashion.values(fashion.train_images).mean() == pytest.approx(0.2860, abs=5e-5)


@pytest.mark.slow
def test_cifar10(load_present):
    cifar10 = load_present("cifar10")
    assert cifar10.train_images.shape == (50000, 32, 32, 3)
    assert cifar10.test_images.shape == (10000, 32, 32, 3)
    assert np.bincount(cifar10.test_labels).tolist() == [1000] * 10
    assert np.bincount(cifar10.train_labels).tolist() == [5000] * 10
    names = [cifar10.class_names[label] for label in cifar10.test_labels[:4]]
    assert names == ["cat", "ship", "ship", "airplane"]
    means = cifar10.train_images.mean(axis=(0, 1, 2)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)


@pytest.mark.slow
def test_svhn(load_present):
    svhn = load_present("svhn")
    assert svhn.train_images.shape == (73257, 32, 32, 3)
    assert svhn.test_images.shape == (26032, 32, 32, 3)
    assert svhn.train_labels.max() == 9
    assert svhn.train_labels.min() == 0


def test_kws(load_present):
    try:
        kws = load_present("kws")
    except DataError as error:
        if "is not in the folder" in str(error):
            pytest.skip(str(error))
        raise
    assert np.bincount(kws.test_labels).tolist() == [92, 92, 81, 89, 70, 84, 75, 78, 84, 89, 80, 86]
    assert kws.test_images.shape == (1000, 49, 10, 1)
