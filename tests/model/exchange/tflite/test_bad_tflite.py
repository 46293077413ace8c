"""Files that are refused in one line, and damaged ones."""

import numpy as np
import pytest

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.tflite.importer import import_graph, import_tflite
from narrowgauge.model.exchange.tflite.reading import from_content, is_tflite

from .files import classes, layers
from .mutate import mutations, sample, tried

LONGEST = 300  # characters of an error, but for the list of operators


def small():
    file, start = layers(size=(4, 4, 2))
    classes(file, file.product("CONV_2D", start, 3, Padding="SAME"))
    return file


def refusal(content):
    with pytest.raises(NetworkError) as caught:
        import_graph(from_content(content), name="net")
    text = str(caught.value)
    assert "\n" not in text
    assert len(text.partition("supported are ")[0]) < LONGEST
    return text


def of_tensor(**changes):
    """A small file whose first convolution gives, reads or has another tensor."""

    def made():
        file = small()
        for name, (place, value) in changes.items():
            setattr(file.tensors[place], name, value)
        return file

    return made


def of_operator(kind="CONV_2D", inputs=None, **options):
    def made():
        file = small()
        for place, (name, own, outputs, given) in enumerate(file.operators):
            if name == kind:
                file.operators[place] = (name, inputs or own, outputs, {**given, **options})
        return file

    return made


def with_operator(kind, **options):
    def made():
        file, start = layers(size=(4, 4, 2))
        classes(file, file.like(kind, [start], **options))
        return file

    return made


def average_with_borders():
    file, start = layers(size=(80, 80, 3))
    classes(file, file.pool("AVERAGE_POOL_2D", start, (3, 3), Padding="SAME"))
    return file


def no_multiple():
    file, start = layers()
    shape = (1, 9, 7, 3)
    operands = [start, file.constant([9, 7])]
    classes(file, file.like("RESIZE_NEAREST_NEIGHBOR", operands, shape))
    return file


def corners():
    file, start = layers()
    classes(file, file.enlarged(start, 3, 3, AlignCorners=True))
    return file


def other_pool():
    file, start = layers()
    pooled = file.pool("MAX_POOL_2D", start)
    file.tensors[pooled].zero = np.array([3])
    classes(file, pooled)
    return file


def constant_sum():
    file, start = layers(size=(4, 4, 2))
    other = file.constant(np.zeros((1, 4, 4, 2)), "INT8", scale=0.1)
    classes(file, file.like("ADD", [start, other]))
    return file


def moved():
    file, start = layers(size=(4, 4, 2))
    one = file.product("CONV_2D", start, 4, Padding="SAME")
    other = file.like("RESHAPE", [one, file.constant([1, 2, 8, 4])], (1, 2, 8, 4))
    classes(file, file.product("CONV_2D", other, 3, (1, 1)))
    return file


def softmax_within():
    file, start = layers(size=(40,))
    one = file.product("FULLY_CONNECTED", start, 5)
    two = file.like("SOFTMAX", [one], scale=1 / 256, zero=-128)
    file.product("FULLY_CONNECTED", two, 3)
    return file


def beyond_32_bits():
    file, start = layers(size=(4, 4, 2))
    one = file.product("CONV_2D", start, 3, scale=0.2)
    file.tensors[file.operators[-1][1][1]].scale *= np.float32(1e12)
    classes(file, one)
    return file


def large_bias():
    file, start = layers(size=(4, 4, 2))
    one = file.product("CONV_2D", start, 3)
    bias = file.tensors[file.operators[-1][1][2]]
    bias.data = np.full(3, (1 << 31) - 1, "<i4").tobytes()
    classes(file, one)
    return file


def only_moves():
    file, start = layers(size=(4,))
    file.like("RESHAPE", [start, file.constant([1, 4])], (1, 4))
    return file


def ends_with_a_pool():
    file, start = layers(size=(2, 2, 3))
    file.pool("MAX_POOL_2D", file.product("CONV_2D", start, 3, (1, 1)))
    return file


REFUSED = {
    "float": (of_tensor(dtype=(0, "FLOAT32"), scale=(0, None)), "t0 is FLOAT32, and only int8"),
    "uint8": (of_tensor(dtype=(3, "UINT8")), "operator 0 (CONV_2D): t3 is UINT8, and only int8"),
    "int16": (of_tensor(dtype=(3, "INT16")), "is INT16"),
    "float weights": (of_tensor(dtype=(1, "FLOAT32")), "no constant of INT8 with 4 axes"),
    "no weights": (of_operator(inputs=[0]), "it has input, weights"),
    "a weights' zero point": (of_tensor(zero=(1, [1, 0, 0])), "have a zero point"),
    "scales along another axis": (of_tensor(axis=(1, 3)), "3 scales along axis 3"),
    "too few scales": (of_tensor(scale=(1, [0.1, 0.1]), zero=(1, [0, 0])), "have 2 scales"),
    "scale of zero": (of_tensor(scale=(3, [0.0])), "not positive"),
    "scale of infinity": (of_tensor(scale=(3, [np.inf])), "not positive"),
    "a scale a channel": (of_tensor(scale=(3, [0.1] * 3), zero=(3, [0] * 3)), "has 3 scales"),
    "a zero point of 200": (of_tensor(zero=(3, [200])), "no code of int8"),
    "an input's zero point": (of_tensor(zero=(0, [-129])), "no code of int8"),
    "no scale": (of_tensor(scale=(3, None)), "t3 has 0 scales"),
    "dynamic": (of_tensor(signature=(0, [-1, -1, 4, 2])), "-1x4x2 is not fixed"),
    "negative": (of_tensor(shape=(3, (1, 4, -4, 3))), "is not fixed"),
    "batch": (of_tensor(shape=(0, (2, 4, 4, 2))), "not one image"),
    "huge": (of_tensor(shape=(0, (1, 40_000, 40_000, 2))), "more than 16,777,216 elements"),
    "another size": (of_tensor(shape=(3, (1, 4, 3, 3))), "gives 4x4x3, which its output is not"),
    "lying weights": (of_tensor(shape=(1, (3, 3, 3, 4))), "54 bytes are in the file"),
    "lying bias": (of_tensor(shape=(2, (5,))), "12 bytes are in the file"),
    "a bias of bytes": (of_tensor(dtype=(2, "INT8"), shape=(2, (12,))), "its bias is no INT32"),
    "a tensor of none": (of_operator(inputs=[0, 99, 2]), "tensor 99 is none of"),
    "from nowhere": (of_operator(inputs=[3, 1, 2]), "which no operator before it computes"),
    "a stride of none": (of_operator(StrideH=0), "are no window"),
    "dilated by none": (of_operator(DilationWFactor=-1), "not positive"),
    "dilated far": (of_operator(DilationWFactor=1 << 30), "is larger than 4x4x2"),
    "tanh": (of_operator(FusedActivationFunction="TANH"), "a fused TANH is not supported"),
    "shuffled": (of_operator("FULLY_CONNECTED", WeightsFormat=1), "its weights are shuffled"),
    "beta": (of_operator("SOFTMAX", Beta=-1.0), "not positive"),
    "an operator": (with_operator("LSTM"), "operator 0 (LSTM): not supported; supported are ADD"),
    "custom": (with_operator("MyOp"), "operator 0 (CUSTOM MyOp): not supported"),
    "borders": (average_with_borders, "another divisor; 19,200 sums of 12 bits are too many"),
    "no multiple": (no_multiple, "only whole multiples"),
    "corners": (corners, "leave out align_corners"),
    "a pool that rescales": (other_pool, "quantised otherwise than its input"),
    "a constant": (constant_sum, "adds a constant"),
    "an order": (moved, "elements cannot be put in another order"),
    "a softmax within": (softmax_within, "only at the very end"),
    "large scales": (beyond_32_bits, "beyond 32 bits"),
    "large bias": (large_bias, "beyond 32 bits"),
    "no layer": (only_moves, "not computed from its input by any layer"),
    "a pool at the end": (ends_with_a_pool, "it must end with a convolution"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    made, words = REFUSED[name]
    assert words in refusal(made().content())


def test_more_than_one_end():
    file = small()
    assert "one input, this one has 2" in refusal(file.content(inputs=[0, 0]))
    assert "one output, this one has 2" in refusal(file.content(outputs=[3, 4]))
    assert "tensor 77 is none of" in refusal(file.content(outputs=[77]))
    assert "is not what its last operators give" in refusal(file.content(outputs=[3]))


def test_no_file(tmp_path):
    for content in (b"", b"TFL3", b"\x1c\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + b"\xff" * 64):
        assert "cut short" in refusal(content) or "graph" in refusal(content)
    path = tmp_path / "model.tflite"
    assert is_tflite(path)
    with pytest.raises(NetworkError, match=r"model\.tflite: cannot be read"):
        import_tflite(path)
    with pytest.raises(NetworkError, match="it is not a file"):
        import_tflite(tmp_path)
    other = tmp_path / "model.bin"
    other.write_bytes(small().content())
    assert is_tflite(other)
    assert not is_tflite(tmp_path / "model.onnx")


def test_truncated():
    content = small().content()
    for length in range(8, len(content), 17):
        assert tried(content[:length]) == "refused"


def test_mutated():
    """Some of what `mutate` tries; it says how to try more."""
    outcomes = [tried(each) for each in mutations(sample(), 60, seed=1)]
    assert set(outcomes) == {"refused", "imported"}
