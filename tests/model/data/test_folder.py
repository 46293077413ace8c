import numpy as np
import pytest
from PIL import Image

from narrowgauge.hw.errors import DataError
from narrowgauge.model.data import load

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write(path, height=4, width=4, colour=RED, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).convert(mode).save(path)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "set"
    write(root / "train" / "cat" / "b.png", colour=GREEN)
    write(root / "train" / "cat" / "a.PNG", colour=RED)
    write(root / "train" / "bird" / "only.png", colour=BLUE)
    write(root / "val" / "cat" / "a.png", colour=RED)
    write(root / "val" / "bird" / "a.jpeg", colour=BLUE)
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / ".hidden").mkdir()
    return root


def test_classes_and_images_are_sorted(root):
    data = load(f"folder:{root}@4")
    assert data.name == f"folder:{root}@4"
    assert (data.classes, data.class_names, data.image_shape) == (2, ("bird", "cat"), (4, 4, 3))
    assert data.train_labels.tolist() == [0, 1, 1]
    assert data.train_images[:, 0, 0].tolist() == [list(BLUE), list(RED), list(GREEN)]
    assert data.test_labels.tolist() == [0, 1]
    assert data.train_images.dtype == np.uint8
    assert data.train_labels.dtype == np.int64
    assert (data.pixel_max, str(data.input)) == (255, "uint8")


def test_the_size_is_224_unless_told(root):
    assert load(f"folder:{root}").image_shape == (224, 224, 3)


def test_test_goes_before_val(root):
    write(root / "test" / "cat" / "a.png", colour=GREEN)
    write(root / "test" / "bird" / "a.png", colour=GREEN)
    assert load(f"folder:{root}@4").test_images[0, 0, 0].tolist() == list(GREEN)


@pytest.mark.parametrize("size", [2, 5, 8, 16])
@pytest.mark.parametrize("tall", [False, True])
def test_the_short_side_is_resized_and_the_middle_cut_out(root, size, tall):
    pixels = np.random.default_rng(size).integers(0, 256, (8, 24, 3)).astype(np.uint8)
    turn = (1, 0, 2) if tall else (0, 1, 2)
    Image.fromarray(pixels.transpose(turn)).save(root / "train" / "bird" / "only.png")
    resized = Image.fromarray(pixels).resize((3 * size, size), Image.Resampling.BILINEAR)
    middle = np.asarray(resized)[:, size : 2 * size]
    found = load(f"folder:{root}@{size}").train_images[0].transpose(turn)
    assert abs(found.astype(int) - middle).max() <= 1  # passes over rows and columns may swap


def test_images_of_the_right_size_stay_as_they_are(root):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(root / "train" / "bird" / "only.png")
    assert np.array_equal(load(f"folder:{root}@16").train_images[0], pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_every_image_becomes_colour(root, mode):
    write(root / "train" / "bird" / "only.png", colour=(255, 255, 255), mode=mode)
    assert (load(f"folder:{root}@4").train_images[0] == 255).all()


def remove(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def no_train(root):
    remove(root / "train")


def no_test(root):
    remove(root / "val")


def no_classes(root):
    remove(root / "train" / "cat")
    remove(root / "train" / "bird")


def no_images(root):
    (root / "train" / "bird" / "only.png").unlink()


def no_test_images(root):
    (root / "val" / "bird" / "a.jpeg").unlink()


def unknown_class(root):
    write(root / "val" / "dog" / "a.png")


def class_without_test(root):
    remove(root / "val" / "cat")


def not_an_image(root):
    (root / "train" / "cat" / "b.png").write_text("not\nan image")


def empty_image(root):
    (root / "train" / "cat" / "b.png").write_bytes(b"")


def truncated_png(root):
    path = root / "train" / "cat" / "b.png"
    path.write_bytes(path.read_bytes()[:-20])


def truncated_jpeg(root):
    path = root / "val" / "bird" / "a.jpeg"
    path.write_bytes(path.read_bytes()[:-20])


def flipped_bit(root):
    """Pixels that are stored uncompressed decode with any value; only their checksum tells."""
    path = root / "train" / "cat" / "b.png"
    Image.new("RGB", (4, 4), GREEN).save(path, compress_level=0)
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 16] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (no_train, r"set has no folder train; it needs train/CLASS/IMAGE"),
        (no_test, r"set has no folder test or val"),
        (no_classes, r"set/train has no folders"),
        (no_images, r"train/bird has no images; it needs \.png"),
        (no_test_images, r"val/bird has no images"),
        (unknown_class, r"set/val and .*only one has dog"),
        (class_without_test, r"only one has cat"),
        (not_an_image, r"cat/b\.png is not an image"),
        (empty_image, r"cat/b\.png is not an image"),
        (truncated_png, r"cat/b\.png is not an image"),
        (truncated_jpeg, r"bird/a\.jpeg is not an image .*[Tt]runcated"),
        (flipped_bit, r"cat/b\.png is not an image"),
    ],
)
def test_damage_is_named(root, damage, text):
    load(f"folder:{root}@4")
    damage(root)
    with pytest.raises(DataError, match=text) as raised:
        load(f"folder:{root}@4")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["folder:", "folder:somewhere@0"])
def test_a_name_that_cannot_be(name):
    with pytest.raises(DataError, match="folder:PATH@SIZE, not"):
        load(name)


def test_a_size_beyond_memory(root):
    with pytest.raises(DataError, match=r"3 images of 999999999x999999999.*smaller size"):
        load(f"folder:{root}@999999999")


def test_a_folder_that_cannot_be_read(root, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(DataError, match=r"train cannot be read \(Permission denied\)"):
        load(f"folder:{root}@4")
