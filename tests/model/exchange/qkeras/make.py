"""Train the QKeras networks of this folder and convert them to QONNX. Tests read what it wrote.

Made with Python 3.11, tensorflow-cpu 2.15.1, keras 2.15.0, tf_keras 2.15.1, QKeras 0.9.0,
tensorflow-model-optimization 0.8.0, pyparsing 3.1, tf2onnx 1.16.1, onnx 1.16.2, onnxruntime 1.19.2,
numpy 1.26.4, protobuf 3.20.3, scikit-learn, and qonnx 0.4.0, the last release that had the
converter (``qonnx.converters``). None of them is needed by the tests::

    python tests/model/exchange/qkeras/make.py [NAME...]

Of each network it writes ``NAME.onnx`` and ``NAME.npz``. The arrays: ``images`` as the network
reads them (20, height, width, channels or 20, 64), ``output``, and under the name of every
layer with a quantised output what QKeras itself gives there, channels last.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import onnx
from keras.layers import Activation, BatchNormalization, Flatten, Input, MaxPooling2D
from qkeras import QActivation, QConv2D, QDense, quantized_bits
from qkeras.quantizers import BaseQuantizer, ternary
from qonnx.converters import from_keras
from sklearn.datasets import load_digits

TRAINED = 1400
KEPT = 20  # images, the first of the test set
CLASSES = 10


def bits(width: int, integer: int = 0) -> Any:
    return quantized_bits(width, integer, alpha=1)


# The converter silently drops a QActivation of anything but quantized_relu: tf2onnx removes the
# identity that stands for it. So signed activations are the `activation` of a layer here.


def dense() -> Any:
    """Multilayer perceptron, 6 bits, biases quantised, softmax at the end."""
    options = {"kernel_quantizer": bits(6), "bias_quantizer": bits(6)}
    x = images = Input((64,))
    x = QActivation("quantized_relu(5,1)", name="pixels")(x)
    x = QDense(32, name="fc1", **options)(x)
    x = QActivation("quantized_relu(6,2)", name="act1")(x)
    x = QDense(24, activation=bits(6, 2), name="fc2", **options)(x)
    x = QDense(CLASSES, name="fc3", **options)(x)
    return keras.Model(images, Activation("softmax", name="softmax")(x))


def conv() -> Any:
    """Convolutions of 4 bits with batch normalisation, a stride, a pool and same padding."""
    x = images = Input((8, 8, 1))
    x = QActivation("quantized_relu(8,1)", name="pixels")(x)
    x = QConv2D(
        8, (3, 3), padding="same", kernel_quantizer=bits(4), use_bias=False, name="conv1"
    )(x)  # fmt: skip
    x = BatchNormalization(name="bn1")(x)
    x = QActivation("quantized_relu(4,2)", name="act1")(x)
    x = MaxPooling2D((2, 2), name="pool1")(x)
    x = QConv2D(
        12, (3, 3), strides=(2, 2), padding="same", kernel_quantizer=bits(4),
        bias_quantizer=bits(6, 1), name="conv2",
    )(x)  # fmt: skip
    x = BatchNormalization(name="bn2")(x)
    x = QActivation("quantized_relu(4,2)", name="act2")(x)
    x = Flatten(name="flatten")(x)
    x = QDense(CLASSES, kernel_quantizer=bits(5), bias_quantizer=bits(5), name="fc")(x)
    return keras.Model(images, x)


def low() -> Any:
    """Ternary weights and activations, then binary ones."""
    trits, signs = "ternary(alpha=1,threshold=0.5)", "binary(alpha=1)"
    x = images = Input((8, 8, 1))
    x = QActivation("quantized_relu(5,1)", name="pixels")(x)
    x = QConv2D(
        12, (3, 3), kernel_quantizer=trits, bias_quantizer=bits(8, 2), activation=trits,
        name="conv1",
    )(x)  # fmt: skip
    x = MaxPooling2D((2, 2), name="pool1")(x)
    x = QConv2D(24, (2, 2), kernel_quantizer=trits, use_bias=False, name="conv2")(x)
    x = BatchNormalization(name="bn2")(x)
    x = QActivation("quantized_relu(3,1)", name="act2")(x)
    x = Flatten(name="flatten")(x)
    x = QDense(
        32, kernel_quantizer=signs, bias_quantizer=bits(6, 3), activation=signs, name="fc1"
    )(x)  # fmt: skip
    x = QDense(CLASSES, kernel_quantizer=signs, use_bias=False, name="fc2")(x)
    x = BatchNormalization(name="bn3")(x)
    return keras.Model(images, x)


def tilt_norms(network: Any) -> None:
    """Give batch normalisations gammas of both signs."""
    for layer in network.layers:
        if isinstance(layer, BatchNormalization):
            layer.gamma.assign(np.where(np.arange(layer.gamma.shape[0]) % 3 == 1, -1.0, 1.0))


def quantises(layer: Any) -> bool:
    """Whether a layer's output is quantised."""
    own = getattr(layer, "activation", None)
    return isinstance(layer, QActivation) or isinstance(own, BaseQuantizer)


def leave_ties(network: Any) -> None:
    """Move the biases before ternary activations to odd multiples of 1/32; pixels have 1/16.

    QKeras gives 1 for 0.5, but the Quant that the converter writes gives 0.
    """
    for layer in network.layers:
        if isinstance(getattr(layer, "activation", None), ternary):
            layer.bias.assign(np.floor(layer.bias.numpy() * 16) / 16 + 1 / 32)


NETWORKS: dict[str, Callable[[], Any]] = {"dense": dense, "conv": conv, "low": low}


def make(name: str, folder: Path) -> None:
    """Train, convert and record one network."""
    keras.utils.set_random_seed(1)
    network = NETWORKS[name]()
    tilt_norms(network)
    bunch: Any = load_digits()
    images = (bunch.images / 16).astype(np.float32).reshape(-1, *network.input_shape[1:])
    logits = not any(isinstance(layer, Activation) for layer in network.layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    network.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    network.fit(images[:TRAINED], bunch.target[:TRAINED], batch_size=64, epochs=30, verbose=0)
    leave_ties(network)
    _, accuracy = network.evaluate(images[TRAINED:], bunch.target[TRAINED:], verbose=0)
    model, _ = from_keras(network, name, opset=13)
    onnx.save(model, folder / f"{name}.onnx")
    kept = images[TRAINED : TRAINED + KEPT]
    layers = [layer for layer in network.layers if quantises(layer)]
    probe = keras.Model(network.input, [*(layer.output for layer in layers), network.output])
    *acts, output = (np.asarray(each) for each in probe(kept))
    arrays: dict[str, Any] = dict(zip((layer.name for layer in layers), acts, strict=True))
    np.savez_compressed(folder / f"{name}.npz", images=kept, output=output, **arrays)
    print(f"{name}: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    for chosen in sys.argv[1:] or NETWORKS:
        make(chosen, Path(__file__).parent)
