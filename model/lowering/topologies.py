"""Networks as plain torch modules, by name; `lower` turns them, or your own, into what is trained.

Every one has a width multiplier, which scales the channels of its hidden layers. Where a max pool
follows a convolution it stands before the norm: a norm of positive slope commutes with it, a
bipolar activation then sees balanced inputs (Courbariaux et al., "Binarized neural networks",
2016), and a quarter of the values need a norm.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from ...hw.errors import NetworkError

__all__ = [
    "NETWORKS",
    "ImageShape",
    "Residual",
    "all_cnn_c",
    "build",
    "cifar10_full",
    "lenet5",
    "mlp",
    "resnet8",
    "resnet18",
]

ImageShape = tuple[int, int, int]
"""Height, width and channels of an image."""

SMALL_IMAGE = 64  # rows up to which ResNet-18 keeps the image's size at its first layer


def build(
    name: str,
    image_shape: ImageShape,
    classes: int,
    *,
    width: float = 1.0,
    widths: tuple[int, ...] = (),
) -> nn.Module:
    """Return the network called ``name`` for images of ``image_shape``.

    Parameters
    ----------
    name : str
        A name in `NETWORKS`.
    image_shape : tuple of int
        Height, width and channels.
    classes : int
        Outputs.
    width : float
        Width multiplier.
    widths : tuple of int
        Widths of the hidden layers of ``mlp``; others ignore it.

    Raises
    ------
    NetworkError
        For a name that is not in `NETWORKS`, or a width that is not positive.
    """
    if name not in NETWORKS:
        raise NetworkError(f"unknown network {name!r}; there is {', '.join(NETWORKS)}")
    if not 0 < width <= 16:
        raise NetworkError(f"a width multiplier is above 0 and at most 16, not {width}")
    if name == "mlp":
        return mlp(image_shape, classes, width, widths)
    return NETWORKS[name](image_shape, classes, width)


def mlp(
    image_shape: ImageShape, classes: int, width: float = 1.0, widths: tuple[int, ...] = (64, 32)
) -> nn.Module:
    """Return a multilayer perceptron with BatchNorm and ReLU."""
    height, columns, channels = image_shape
    before = height * columns * channels
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for index, given in enumerate(widths):
        outputs = _scaled(given, width)
        layers[f"hidden{index}"] = nn.Linear(before, outputs, bias=False)
        layers[f"norm{index}"] = nn.BatchNorm1d(outputs)
        layers[f"relu{index}"] = nn.ReLU()
        before = outputs
    layers["head"] = nn.Linear(before, classes)
    return nn.Sequential(OrderedDict(layers))


def lenet5(image_shape: ImageShape, classes: int, width: float = 1.0) -> nn.Module:
    """Return Caffe's LeNet-5 (20-50-500), with BatchNorm."""
    height, columns, channels = image_shape
    one, two, three = (_scaled(count, width) for count in (20, 50, 500))
    rows, columns = (((size - 4) // 2 - 4) // 2 for size in (height, columns))
    layers = {
        **_convolution(1, channels, one, kernel=5, pool=nn.MaxPool2d(2)),
        **_convolution(2, one, two, kernel=5, pool=nn.MaxPool2d(2)),
        "flatten": nn.Flatten(),
        "dense1": nn.Linear(two * max(rows, 1) * max(columns, 1), three, bias=False),
        "norm3": nn.BatchNorm1d(three),
        "relu3": nn.ReLU(),
        "dense2": nn.Linear(three, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def cifar10_full(image_shape: ImageShape, classes: int, width: float = 1.0) -> nn.Module:
    """Return the shape of Caffe's cifar10_full; BatchNorm replaces local response normalisation.

    Its pools have padding 1, so that 32 rows become 16, 8 and 4.
    """
    height, columns, channels = image_shape
    one, two, three = (_scaled(count, width) for count in (32, 32, 64))
    rows, columns = (-(-size // 8) for size in (height, columns))
    layers = {
        **_convolution(1, channels, one, kernel=5, padding=2, pool=nn.MaxPool2d(3, 2, 1)),
        **_convolution(2, one, two, kernel=5, padding=2),
        "pool2": nn.AvgPool2d(3, 2, 1),
        **_convolution(3, two, three, kernel=5, padding=2),
        "pool3": nn.AvgPool2d(3, 2, 1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(three * rows * columns, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def all_cnn_c(image_shape: ImageShape, classes: int, width: float = 1.0) -> nn.Module:
    """Return All-CNN-C (Springenberg et al., 2015), with BatchNorm."""
    narrow, wide = _scaled(96, width), _scaled(192, width)
    # kernel, stride, padding, channels
    plan = [
        (3, 1, 1, narrow),
        (3, 1, 1, narrow),
        (3, 2, 1, narrow),
        (3, 1, 1, wide),
        (3, 1, 1, wide),
        (3, 2, 1, wide),
        (3, 1, 0, wide),
        (1, 1, 0, wide),
        (1, 1, 0, classes),
    ]
    layers: dict[str, nn.Module] = {}
    before = image_shape[2]
    for index, (kernel, stride, padding, channels) in enumerate(plan, 1):
        layers |= _convolution(
            index, before, channels, kernel=kernel, stride=stride, padding=padding
        )
        before = channels
    return nn.Sequential(
        OrderedDict({**layers, "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})
    )


def _convolution(
    index: int,
    inputs: int,
    outputs: int,
    *,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    pool: nn.Module | None = None,
) -> dict[str, nn.Module]:
    """Return the numbered layers of a convolution, its pool, BatchNorm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return {
        f"conv{index}": convolution,
        **({} if pool is None else {f"pool{index}": pool}),
        f"norm{index}": nn.BatchNorm2d(outputs),
        f"relu{index}": nn.ReLU(),
    }


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride : int
        Of the first convolution and of the shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            narrow = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            layers = {"conv": narrow, "norm": nn.BatchNorm2d(outputs)}
            self.shortcut = nn.Sequential(OrderedDict(layers))
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map values of shape (images, inputs, height, width)."""
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x))


def resnet8(image_shape: ImageShape, classes: int, width: float = 1.0) -> nn.Module:
    """Return the small residual network of MLPerf Tiny: three blocks of 16, 32 and 64 channels."""
    one, two, three = (_scaled(count, width) for count in (16, 32, 64))
    layers = {
        **_convolution(1, image_shape[2], one, kernel=3, padding=1),
        "block1": Residual(one, one),
        "block2": Residual(one, two, 2),
        "block3": Residual(two, three, 2),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(three, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def resnet18(image_shape: ImageShape, classes: int, width: float = 1.0) -> nn.Module:
    """Return ResNet-18; images of up to 64 rows enter at full size, larger ones at a quarter."""
    channels = [_scaled(count, width) for count in (64, 128, 256, 512)]
    if image_shape[0] <= SMALL_IMAGE:
        layers = _convolution(1, image_shape[2], channels[0], kernel=3, padding=1)
    else:
        layers = _convolution(
            1,
            image_shape[2],
            channels[0],
            kernel=7,
            stride=2,
            padding=3,
            pool=nn.MaxPool2d(3, 2, 1),
        )
    before = channels[0]
    for index, count in enumerate(channels, 1):
        layers[f"block{index}a"] = Residual(before, count, 1 if index == 1 else 2)
        layers[f"block{index}b"] = Residual(count, count)
        before = count
    layers |= {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(before, classes),
    }
    return nn.Sequential(OrderedDict(layers))


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
    "lenet5": lenet5,
    "cifar10_full": cifar10_full,
    "all_cnn_c": all_cnn_c,
    "resnet8": resnet8,
    "resnet18": resnet18,
}
"""Builder of every network: image shape, classes and width multiplier; add your own by name."""
