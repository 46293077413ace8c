"""Files of arrays: what they may hold, and what a training takes of them; and the clips of kws."""

import hashlib
import zipfile

import numpy as np
import pytest

from narrowgauge.hw.errors import DataError
from narrowgauge.hw.numbers.formats import parse
from narrowgauge.model.data import kws, load
from narrowgauge.model.data.arrays import read_arrays
from narrowgauge.model.training.recipe import Recipe
from narrowgauge.model.training.train import check_recipe, train

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3)).astype(np.uint8)
LABELS = np.arange(40) % 4


def saved(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return folder / "mine.npz"


def test_inputs_and_labels(tmp_path):
    for name in ("inputs", "images"):
        found = read_arrays(saved(tmp_path, **{name: IMAGES, "labels": LABELS}))
        assert found.labels is not None
        assert (found.inputs == IMAGES).all()
        assert (found.labels == LABELS).all()
    assert read_arrays(saved(tmp_path, inputs=IMAGES)).labels is None


@pytest.mark.parametrize(
    "names", [(), ("labels",), ("x", "labels"), ("inputs", "images"), ("inputs", "y")]
)
def test_other_arrays_are_refused(tmp_path, names):
    with pytest.raises(DataError, match="it holds inputs and perhaps labels, not") as error:
        read_arrays(saved(tmp_path, **dict.fromkeys(names, LABELS)))
    assert "\n" not in str(error.value)
    assert all(repr(name) in str(error.value) for name in names)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_that_numpy_did_not_write(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("no arrays")
    with pytest.raises(DataError, match=r"no file of arrays of inputs \(NumPy did not write it\)$"):
        read_arrays(path)
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as file:
        file.writestr("inputs.npy", "no array")
    with pytest.raises(DataError, match="what it holds are no arrays"):
        read_arrays(tmp_path / "text.npz")


def test_a_quarter_of_each_class_is_for_testing(tmp_path):
    found = load(str(saved(tmp_path, inputs=IMAGES, labels=LABELS)))
    assert (found.image_shape, found.classes) == ((4, 4, 3), 4)
    assert np.bincount(found.train_labels).tolist() == [8, 8, 8, 8]
    assert np.bincount(found.test_labels).tolist() == [2, 2, 2, 2]
    both = np.concatenate([found.train_images, found.test_images])
    assert sorted(each.tobytes() for each in both) == sorted(each.tobytes() for each in IMAGES)
    assert load(str(saved(tmp_path, inputs=IMAGES[..., 0], labels=LABELS))).inputs == 16


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": IMAGES}, "labels are integers of shape .40,., not none"),
        ({"inputs": IMAGES, "labels": LABELS[1:]}, "not int64 of shape .39,."),
        ({"inputs": IMAGES, "labels": LABELS / 2}, "not float64"),
        ({"inputs": IMAGES / 255, "labels": LABELS}, "inputs are uint8 .*, not float64"),
        ({"inputs": IMAGES[0, 0], "labels": LABELS}, "not uint8 of shape .4, 3."),
        ({"inputs": IMAGES, "labels": LABELS - 1}, "classes from 0 on"),
        ({"inputs": IMAGES, "labels": LABELS + 40}, "classes from 0 on"),
        ({"inputs": IMAGES, "labels": np.arange(40)}, "a quarter of each"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(tmp_path, arrays, words):
    with pytest.raises(DataError, match=f"mine.npz: to train on, .*{words}"):
        load(str(saved(tmp_path, **arrays)))


def test_keys_have_what_a_file_holds(tmp_path):
    def key(name, images):
        path = tmp_path / name
        np.savez_compressed(path, inputs=images, labels=LABELS)
        recipe = Recipe(dataset=str(path))
        return recipe.plain()["images"], recipe.digest()

    first, other = key("mine.npz", IMAGES), key("mine.npz", IMAGES ^ 1)
    assert first != other
    assert first[1] != other[1]
    assert key("other.npz", IMAGES)[0] == first[0]
    assert "images" not in Recipe(dataset="digits").plain()
    with pytest.raises(DataError, match=r"none.npz: cannot be read"):
        Recipe(dataset="none.npz").plain()


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Clips of no words, where those of kws are looked for."""
    folder = tmp_path / kws.FOLDER
    folder.mkdir(parents=True)
    codes = np.random.default_rng(1).integers(-128, 128, kws.SHAPE).astype(np.int8)
    labels = (np.arange(1000) % 12).astype(np.uint8)
    digest = hashlib.sha256(codes.tobytes() + labels.tobytes()).hexdigest()
    monkeypatch.setattr(kws, "DIGEST", digest)
    monkeypatch.setenv("NARROWGAUGE_DATA", str(tmp_path))
    return folder / kws.FILE, codes, labels


def test_kws_has_codes_of_values(clips):
    path, codes, labels = clips
    np.savez(path, inputs=codes, labels=labels)
    found = load("kws")
    assert (found.image_shape, found.classes, len(found.test_images)) == ((49, 10, 1), 12, 1000)
    values = found.values(found.test_images)
    assert values.dtype == np.float32
    assert np.allclose(values, (codes.astype(float) - 83) * 0.5847029089927673)
    assert (np.rint(values / np.float32(kws.UNIT)) + 83 == codes).all()
    with pytest.raises(DataError, match="no pixels"):
        found.levels(found.test_images, parse("int8"))


def test_kws_is_not_trained_on(clips):
    path, codes, labels = clips
    np.savez(path, inputs=codes, labels=labels)
    for refuse in (check_recipe, train):
        with pytest.raises(DataError, match="kws has test images only"):
            refuse(Recipe(dataset="kws"))


def test_other_clips_are_refused(clips):
    path, codes, labels = clips
    with pytest.raises(DataError, match=r"kws01_int8.npz is not in the folder .* make it of"):
        load("kws")
    for wrong in (codes.astype(np.int16), codes[:, :, :, 0], codes ^ 1):
        np.savez(path, inputs=wrong, labels=labels)
        with pytest.raises(DataError, match="does not hold the clips of kws"):
            load("kws")
