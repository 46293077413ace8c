"""Small Brevitas networks of every kind, trained on the digits in a second or two each."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own deprecated modules, and packages it can do without
    import brevitas.nn as qnn
    from brevitas.export import export_qonnx
    from brevitas.quant import (
        Int8AccumulatorAwareWeightQuant,
        Int8AccumulatorAwareZeroCenterWeightQuant,
        Int8WeightNormL2PerChannelFixedPoint,
        binary,
        fixed_point,
        float_quant_ocp,
        scaled_int,
        shifted_scaled_int,
        ternary,
    )

from narrowgauge.model.exchange.brevitas import multiplied_weights

TRAINED = 1400  # images; the others test
BATCH = 100
CLASSES = 10


@dataclass(frozen=True)
class Recipe:
    build: Callable[[], nn.Module]
    epochs: int = 12
    rate: float = 0.01  # of learning
    accuracy: float = 0.85  # the least that a test may find
    promised: int | None = None  # bits of an accumulator that it is trained for


# ------------------------------------------------------------------ training and export


@contextmanager
def quiet() -> Iterator[None]:
    """Brevitas, torch's exporters and numpy warn of their own old habits; pytest would fail."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def digits() -> tuple[Tensor, Tensor]:
    bunch: Any = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    return images, torch.tensor(bunch.target)


def train(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """The network called ``name`` in evaluation mode, and the images of training and of testing."""
    torch.set_num_threads(1)
    recipe = NETWORKS[name]
    images, labels = digits()
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        module = recipe.build()
        tilt_norms(module)
        fit(module, images[:TRAINED], labels[:TRAINED], recipe)
    return module.eval(), images[:TRAINED], images[TRAINED:]


def fit(module: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> None:
    steps = recipe.epochs * (len(images) // BATCH)
    module.train()
    module(images[:BATCH])  # some quantisers make their parameters at the first batch
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images))
        for batch in order[: len(images) // BATCH * BATCH].view(-1, BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(value(module(images[batch])), labels[batch]).backward()
            optimiser.step()
            schedule.step()


def tilt_norms(module: nn.Module) -> None:
    """Give every batch normalisation gammas of both signs, and offsets."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.weight.data[1::3] *= -1
            norm.bias.data.uniform_(-0.3, 0.3)


def value(outputs: Any) -> Tensor:
    """Outputs as a plain tensor; a last quantiser may return a QuantTensor."""
    return outputs if isinstance(outputs, Tensor) else outputs.value


def infer(module: nn.Module, images: Tensor) -> Tensor:
    with quiet(), torch.no_grad():
        return value(module(images))


def accuracy(module: nn.Module) -> float:
    """Share of the test images that are named rightly."""
    images, labels = digits()
    named = infer(module, images[TRAINED:]).argmax(1)
    return float((named == labels[TRAINED:]).float().mean())


def export(module: nn.Module, example: Tensor, path: Path | str, *, dynamo: bool = True) -> None:
    """Write QONNX, by torch.export and the dynamo exporter or by TorchScript tracing.

    ``example`` is what is traced: its batch dimension becomes that of the file.
    """
    options: dict[str, Any] = (
        {"optimize": True, "verbose": False, "external_data": False} if dynamo else {}
    )
    with quiet(), torch.random.fork_rng(devices=[]), multiplied_weights(module, example):
        export_qonnx(module, example, str(path), dynamo=dynamo, **options)


# ------------------------------------------------------------------ pieces


class BinaryWeight(binary.SignedBinaryWeightPerTensorConst):
    scaling_const = 1.0


class TernaryWeight(ternary.SignedTernaryWeightPerTensorConst):
    scaling_const = 0.25


class SmallTernaryWeight(TernaryWeight):
    scaling_const = 0.1


# Plain Fp8e4m3Weight... and the FNUZ ones train but do not export: they lack `max_available_float`.
class MinifloatE3M2(float_quant_ocp.FpOCPWeightPerTensorFloat):
    bit_width = 6
    exponent_bit_width = 3
    mantissa_bit_width = 2


class MinifloatE2M1(float_quant_ocp.FpOCPWeightPerChannelFloat):
    bit_width = 4
    exponent_bit_width = 2
    mantissa_bit_width = 1


MINIFLOAT_E4M3 = float_quant_ocp.Fp8e4m3OCPWeightPerTensorFloat
MINIFLOAT_E5M2 = float_quant_ocp.Fp8e5m2OCPWeightPerChannelFloat
PER_CHANNEL = scaled_int.Int8WeightPerChannelFloat
PER_TENSOR = scaled_int.Int8WeightPerTensorFloat
FIXED_WEIGHT = fixed_point.Int8WeightPerTensorFixedPoint
FIXED_ACT = fixed_point.Int8ActPerTensorFixedPoint
FIXED_UNSIGNED = fixed_point.Uint8ActPerTensorFixedPoint


def conv(inputs: int, outputs: int, kernel: Any, bits: int = 8, **options: Any) -> nn.Module:
    options = {"bias": False, "weight_quant": PER_CHANNEL, **options}
    if bits != 8:
        options["weight_bit_width"] = bits
    return qnn.QuantConv2d(inputs, outputs, kernel, **options)


def dense(inputs: int, outputs: int, bits: int = 8, **options: Any) -> nn.Module:
    options = {"bias": False, "weight_quant": PER_CHANNEL, **options}
    if bits != 8:
        options["weight_bit_width"] = bits
    return qnn.QuantLinear(inputs, outputs, **options)


def relu(bits: int = 8, **options: Any) -> nn.Module:
    """Unsigned levels; the scale is learned after a few steps of statistics."""
    options = {"collect_stats_steps": 20, "return_quant_tensor": True, **options}
    return qnn.QuantReLU(bit_width=bits, **options)


def signed(bits: int = 8, **options: Any) -> nn.Module:
    options = {"collect_stats_steps": 20, "return_quant_tensor": True, **options}
    return qnn.QuantIdentity(bit_width=bits, **options)


def unsigned(bits: int = 8, **options: Any) -> nn.Module:
    return signed(bits, act_quant=scaled_int.Uint8ActPerTensorFloat, **options)


def sign() -> nn.Module:
    return qnn.QuantIdentity(act_quant=binary.SignedBinaryActPerTensorConst)


def trit() -> nn.Module:
    return qnn.QuantIdentity(act_quant=ternary.SignedTernaryActPerTensorConst)


def binary_conv(inputs: int, outputs: int, kernel: int, **options: Any) -> nn.Module:
    return qnn.QuantConv2d(
        inputs, outputs, kernel, bias=False, weight_quant=BinaryWeight, **options
    )


def binary_dense(inputs: int, outputs: int) -> nn.Module:
    return qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=BinaryWeight)


class Centre(nn.Module):
    """Pixels of 0 to 1 as -1 to 1, as the bipolar networks of Brevitas' examples do."""

    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * x - torch.tensor([1.0])


class Scalar(nn.Module):
    """Batch normalisation of a whole tensor, as at the end of Brevitas' examples."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.reshape(-1, 1)).reshape(-1, CLASSES)


# ------------------------------------------------------------------ networks


def bipolar_dense() -> nn.Module:
    return nn.Sequential(
        Centre(),
        sign(),
        nn.Flatten(),
        binary_dense(64, 64),
        nn.BatchNorm1d(64),
        sign(),
        binary_dense(64, 32),
        nn.BatchNorm1d(32),
        sign(),
        binary_dense(32, CLASSES),
        nn.BatchNorm1d(CLASSES),
    )


def bipolar_conv() -> nn.Module:
    """Zero padding between signs, and a normalisation after the pool with gammas of both signs."""
    return nn.Sequential(
        signed(8, act_quant=FIXED_ACT),
        binary_conv(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        sign(),
        binary_conv(12, 16, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(16),
        sign(),
        binary_conv(16, 16, 3, padding=(1, 0)),
        nn.BatchNorm2d(16),
        sign(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        binary_dense(32, CLASSES),
        Scalar(),
    )


def ternary_conv() -> nn.Module:
    return nn.Sequential(
        signed(8),
        qnn.QuantConv2d(1, 12, 3, padding=1, bias=False, weight_quant=TernaryWeight),
        nn.BatchNorm2d(12),
        trit(),
        nn.MaxPool2d(2),
        qnn.QuantConv2d(12, 16, 3, padding=1, bias=False, weight_quant=SmallTernaryWeight),
        nn.BatchNorm2d(16),
        trit(),
        nn.Flatten(),
        qnn.QuantLinear(256, CLASSES, bias=True, weight_quant=SmallTernaryWeight),
    )


def int2_fixed_point() -> nn.Module:
    """Weights of 2 bits with power-of-two scales, unsigned activations of 2 bits alike."""
    return nn.Sequential(
        unsigned(8),
        conv(1, 12, 3, 2, weight_quant=FIXED_WEIGHT),
        nn.BatchNorm2d(12),
        relu(2, act_quant=FIXED_UNSIGNED),
        conv(12, 16, 3, 2, weight_quant=FIXED_WEIGHT, stride=2),
        nn.BatchNorm2d(16),
        relu(2, act_quant=FIXED_UNSIGNED),
        nn.Flatten(),
        dense(64, CLASSES, 2, weight_quant=fixed_point.Int8WeightPerChannelFixedPoint),
        nn.BatchNorm1d(CLASSES),
    )


def int3_stride() -> nn.Module:
    return nn.Sequential(
        signed(8, act_quant=FIXED_ACT),
        conv(1, 12, 3, 3, stride=2, padding=1),
        nn.BatchNorm2d(12),
        relu(3),
        conv(12, 24, 2, 3, stride=(2, 1)),
        nn.BatchNorm2d(24),
        relu(3),
        nn.Flatten(),
        dense(144, CLASSES, 3, bias=True),
        signed(6),
    )


def int4_quantised_bias() -> nn.Module:
    """Biases of 8, 16 and 32 bits, whose scale is that of the accumulator or their own."""
    own = scaled_int.Int8BiasPerTensorFloatInternalScaling
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, 4, bias=True, bias_quant=scaled_int.Int8Bias),
        relu(4),
        conv(8, 12, 3, 4, bias=True, bias_quant=scaled_int.Int16Bias, weight_quant=PER_TENSOR),
        relu(4),
        nn.MaxPool2d(2),
        nn.Flatten(),
        dense(48, 24, 4, bias=True, bias_quant=own),
        relu(4),
        dense(24, CLASSES, 4, bias=True, bias_quant=scaled_int.Int32Bias),
        signed(8),
    )


def int5_hardtanh() -> nn.Module:
    hard = {"max_val": 1.0, "min_val": -1.0, "bit_width": 5}
    act: Any = scaled_int.Int8ActPerTensorFloat
    return nn.Sequential(
        signed(8, act_quant=act.let(narrow_range=True)),
        conv(1, 8, 3, 5, weight_quant=PER_TENSOR),
        nn.BatchNorm2d(8),
        qnn.QuantHardTanh(**hard),
        nn.MaxPool2d(3, stride=1),
        conv(8, 8, 3, 5, weight_quant=PER_TENSOR),
        nn.BatchNorm2d(8),
        qnn.QuantHardTanh(**hard),
        nn.Flatten(),
        dense(32, CLASSES, 5, bias=True, weight_quant=PER_TENSOR),
    )


def int6_sigmoid_tanh() -> nn.Module:
    return nn.Sequential(
        unsigned(8),
        nn.Flatten(),
        dense(64, 48, 6, bias=True),
        qnn.QuantSigmoid(bit_width=6, collect_stats_steps=20),
        dense(48, 32, 6, bias=True),
        qnn.QuantTanh(bit_width=4, collect_stats_steps=20),
        dense(32, CLASSES, 6, bias=True),
    )


def int7_groups() -> nn.Module:
    """Depthwise and grouped convolutions, kernels and padding that differ by axis, a pad alone."""
    return nn.Sequential(
        signed(8),
        nn.ZeroPad2d((1, 0, 2, 1)),
        conv(1, 8, (4, 3), 7, padding=(0, 1)),
        nn.BatchNorm2d(8),
        relu(7),
        conv(8, 8, 3, 7, groups=8, padding=1),
        nn.BatchNorm2d(8),
        relu(7),
        conv(8, 16, 1, 7, groups=2),
        nn.BatchNorm2d(16),
        relu(7),
        conv(16, 16, 3, 7, groups=4, stride=2),
        nn.BatchNorm2d(16),
        relu(7),
        nn.Flatten(),
        dense(192, CLASSES, 7, bias=True),
    )


class Residual(nn.Module):
    """``x`` plus two convolutions of it: both summands through ``shared``, or each its own."""

    def __init__(self, channels: int, bits: int, shared: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(
            conv(channels, channels, 3, bits, padding=1), nn.BatchNorm2d(channels), relu(bits)
        )
        self.second = nn.Sequential(
            conv(channels, channels, 3, bits, padding=1), nn.BatchNorm2d(channels)
        )
        self.left = signed(bits, return_quant_tensor=shared)
        self.right = self.left if shared else signed(bits, return_quant_tensor=False)
        self.last = relu(bits)

    def forward(self, x: Any) -> Any:
        skipped = self.left(x)
        return self.last(self.right(self.second(self.first(skipped))) + skipped)


def residual(shared: bool, bits: int) -> nn.Module:
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, bits, stride=2, padding=1),
        nn.BatchNorm2d(8),
        relu(bits),
        Residual(8, bits, shared),
        Residual(8, bits, shared),
        nn.Flatten(),
        dense(128, CLASSES, bits, bias=True),
    )


class Added(nn.Module):
    """Two branches through QuantEltwiseAdd, which quantises both summands alike and their sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Sequential(conv(channels, channels, 1), nn.BatchNorm2d(channels))
        self.other = nn.Sequential(conv(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.sum = qnn.QuantEltwiseAdd()

    def forward(self, x: Any) -> Any:
        return self.sum(self.one(x), self.other(x))


def eltwise_add() -> nn.Module:
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        relu(8),
        Added(8),
        relu(5),
        nn.Flatten(),
        dense(128, CLASSES, bias=True),
    )


def trunc_pool() -> nn.Module:
    """Averages by a right shift, which rounds in one pool and floors in the other."""
    floor = {"trunc_quant": scaled_int.TruncTo8bit, "bit_width": 6}
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, 6, padding=1),
        nn.BatchNorm2d(8),
        relu(4),
        qnn.TruncAvgPool2d(2, bit_width=4),
        conv(8, 16, 3, 6, padding=1),
        nn.BatchNorm2d(16),
        relu(6),
        qnn.TruncAdaptiveAvgPool2d(2, **floor),
        nn.Flatten(),
        dense(64, CLASSES, 6, bias=True),
    )


def average_pool() -> nn.Module:
    """Plain averages, each with a quantiser after it; the last is global."""
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, 4, padding=1),
        nn.BatchNorm2d(8),
        relu(4),
        nn.AvgPool2d(2),
        unsigned(4),
        conv(8, 24, 3, 4, padding=1),
        nn.BatchNorm2d(24),
        nn.MaxPool2d(3, stride=1, padding=1),
        relu(4),
        nn.AdaptiveAvgPool2d(1),
        unsigned(6),
        nn.Flatten(),
        dense(24, CLASSES, 4, bias=True),
    )


def asymmetric() -> nn.Module:
    """Zero points of activations and of weights."""
    act = shifted_scaled_int.ShiftedUint8ActPerTensorFloat
    weight = shifted_scaled_int.ShiftedUint8WeightPerTensorFloat
    channels = shifted_scaled_int.ShiftedUint8WeightPerChannelFloat
    return nn.Sequential(
        signed(8, act_quant=act),
        conv(1, 8, 3, weight_quant=weight, padding=1),
        nn.BatchNorm2d(8),
        signed(4, act_quant=act),
        nn.MaxPool2d(2),
        conv(8, 12, 3, 5, weight_quant=channels, padding=1),
        nn.BatchNorm2d(12),
        signed(5, act_quant=act),
        nn.Flatten(),
        dense(192, CLASSES, bias=True, weight_quant=weight),
        signed(8, act_quant=act),
    )


def minifloat(weight: Any) -> nn.Module:
    """Weights of ``weight``, activations in integers."""
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, weight_quant=weight),
        nn.BatchNorm2d(8),
        relu(6),
        nn.MaxPool2d(2),
        nn.Flatten(),
        dense(72, 24, weight_quant=weight, bias=True),
        relu(6),
        dense(24, CLASSES, weight_quant=weight, bias=True),
    )


def minifloat_activations() -> nn.Module:
    act = {"act_quant": float_quant_ocp.Fp8e4m3OCPActPerTensorFloat, "collect_stats_steps": 20}
    weight = {"weight_quant": MINIFLOAT_E4M3, "bias": True}
    return nn.Sequential(
        qnn.QuantIdentity(**act),
        nn.Flatten(),
        dense(64, 32, **weight),
        qnn.QuantReLU(**act),
        dense(32, CLASSES, **weight),
    )


def dense_float_bias() -> nn.Module:
    """Multilayer perceptron; scales by statistics throughout, 8 bits, no last quantiser."""
    act: Any = scaled_int.Uint8ActPerTensorFloat
    statistics = act.let(scaling_impl_type="stats")
    return nn.Sequential(
        qnn.QuantIdentity(act_quant=FIXED_UNSIGNED, collect_stats_steps=20),
        nn.Flatten(),
        dense(64, 32, bias=True, weight_quant=PER_TENSOR),
        qnn.QuantReLU(act_quant=statistics),
        nn.Dropout(0.1),
        dense(32, 24, bias=True, weight_quant=PER_TENSOR),
        qnn.QuantReLU(act_quant=statistics),
        dense(24, CLASSES, bias=True, weight_quant=PER_TENSOR),
    )


def channel_scales() -> nn.Module:
    """An activation scale of each channel, before a depthwise convolution."""
    channels = {"scaling_per_output_channel": True, "scaling_stats_permute_dims": (1, 0, 2, 3)}
    channels["per_channel_broadcastable_shape"] = (1, 8, 1, 1)
    return nn.Sequential(
        unsigned(8),
        conv(1, 8, 3, 4),
        nn.BatchNorm2d(8),
        relu(4, **channels),
        conv(8, 8, 3, 4, groups=8),
        nn.BatchNorm2d(8),
        relu(4),
        nn.Flatten(),
        dense(128, CLASSES, 4, bias=True),
    )


def decoupled(quantiser: Any, **options: Any) -> nn.Module:
    """Weights that are scaled, rounded, and scaled again: normalised ones, A2Q and A2Q+."""
    weight = {"weight_quant": quantiser, **options}
    return nn.Sequential(
        unsigned(4),
        conv(1, 8, 3, 4, padding=1, **weight),
        nn.BatchNorm2d(8),
        relu(4),
        nn.MaxPool2d(2),
        conv(8, 16, 3, 4, **weight),
        nn.BatchNorm2d(16),
        signed(5),
        nn.Flatten(),
        dense(64, CLASSES, 4, bias=True, **weight),
    )


def promised(quantiser: Any, bits: int) -> Recipe:
    """A network that is trained for an accumulator of ``bits``."""
    return Recipe(lambda: decoupled(quantiser, weight_accumulator_bit_width=bits), promised=bits)


NETWORKS: dict[str, Recipe] = {
    "bipolar dense": Recipe(bipolar_dense, epochs=20, rate=0.03, accuracy=0.75),
    "bipolar conv": Recipe(bipolar_conv, epochs=16, rate=0.03, accuracy=0.75),
    "ternary conv": Recipe(ternary_conv, rate=0.03),
    "int2 fixed point": Recipe(int2_fixed_point),
    "int3 stride": Recipe(int3_stride),
    "int4 quantised bias": Recipe(int4_quantised_bias),
    "int5 hardtanh": Recipe(int5_hardtanh),
    "int6 sigmoid tanh": Recipe(int6_sigmoid_tanh, rate=0.03),
    "int7 groups": Recipe(int7_groups),
    "int8 residual, one scale": Recipe(lambda: residual(True, 8)),
    "int4 residual, two scales": Recipe(lambda: residual(False, 4)),
    "eltwise add": Recipe(eltwise_add),
    "trunc pool": Recipe(trunc_pool),
    "average pool": Recipe(average_pool),
    "asymmetric": Recipe(asymmetric),
    "minifloat e4m3": Recipe(lambda: minifloat(MINIFLOAT_E4M3)),
    "minifloat e5m2": Recipe(lambda: minifloat(MINIFLOAT_E5M2)),
    "minifloat e3m2": Recipe(lambda: minifloat(MinifloatE3M2)),
    "minifloat e2m1": Recipe(lambda: minifloat(MinifloatE2M1)),
    "minifloat activations": Recipe(minifloat_activations),
    "dense float bias": Recipe(dense_float_bias),
    "channel scales": Recipe(channel_scales),
    "weight norm": Recipe(lambda: decoupled(Int8WeightNormL2PerChannelFixedPoint)),
    "a2q, 12 bits": promised(Int8AccumulatorAwareWeightQuant, 12),
    "a2q+, 12 bits": promised(Int8AccumulatorAwareZeroCenterWeightQuant, 12),
    "a2q+, 10 bits": promised(Int8AccumulatorAwareZeroCenterWeightQuant, 10),
}
