"""Float networks of checkpoints and Python modules."""

import pytest
import torch

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.post_training import NetworkImages, PostTraining, quantize, read, sources
from narrowgauge.model.post_training.sources import normalised
from narrowgauge.model.training import Recipe
from narrowgauge.model.training.train import train

from .networks import fitted, known


@pytest.fixture(scope="module")
def images():
    return NetworkImages.load("digits", 40)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A float training of two epochs, one of int4 from it, and their checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints")
    start = train(Recipe(epochs=2), checkpoints=folder)
    train(Recipe(epochs=1, weight="int4"), start=start, checkpoints=folder)
    names = [Recipe(epochs=2).digest(), Recipe(epochs=1, weight="int4").digest(start=start.recipe)]
    return start, *(folder / f"{name}.checkpoint" for name in names)


def test_a_checkpoint_is_the_network_that_was_trained(images, trained):
    start, path, _ = trained
    found = quantize(read(str(path), images), images, PostTraining(), figures=False)
    shares = known(found.shares)
    assert shares.exact == start.accuracy
    assert shares.integer > start.accuracy - 0.01
    assert [layer.name for layer in found.network] == ["hidden0", "hidden1", "head"]


def test_a_checkpoint_of_integers_is_refused(images, trained):
    with pytest.raises(NetworkError, match="of a network with weights int4; a float one"):
        read(str(trained[2]), images)


def test_normalised_images_give_what_the_network_does(images):
    values = images.values(images.test[:20])
    with torch.no_grad():
        wanted = fitted()((values - 0.3) / 0.4)
        found = normalised(fitted(), (0.3,), (0.4,), 1)(values)
        other = normalised(fitted(), (0.3,), None, 1)(values)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert not torch.allclose(other, wanted, atol=1e-2)


@pytest.mark.parametrize("name", ["no.onnx", "no.checkpoint"])
def test_a_file_that_is_not_there_is_said_first(images, name, monkeypatch):
    """Before a package is asked for, without which it could not be read."""
    monkeypatch.setattr(sources, "require", lambda: pytest.fail("asked for onnx"))
    with pytest.raises(NetworkError, match=f"cannot read {name}: there is no such file"):
        read(name, images)
