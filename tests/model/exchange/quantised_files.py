"""Networks as onnxruntime's static quantiser and Brevitas' QCDQ export write them."""

import logging
import warnings
from typing import Any

import onnx
import torch
from torch import nn
from torch.nn import functional

__all__ = [
    "brevitas_lenet",
    "brevitas_resnet",
    "exported",
    "images",
    "lenet",
    "quantised",
    "resnet",
]


class Residual(nn.Module):
    """Two convolutions beside what they read, or beside a convolution of that."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.one = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.two = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.side = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x):
        return functional.relu(self.two(functional.relu(self.one(x))) + self.side(x))


def lenet(channels=(6, 16), widths=(120, 84)):
    """LeNet-5 on 28x28."""
    one, two = channels
    return nn.Sequential(
        nn.Conv2d(1, one, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(one, two, 5),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(25 * two, widths[0]), nn.ReLU(),
        nn.Linear(*widths), nn.ReLU(), nn.Linear(widths[1], 10),
    )  # fmt: skip


def resnet(width=16, size=32):
    """ResNet-8 of MLPerf Tiny, without batch normalisation, which is folded before quantising."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), Residual(width, width),
        Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2), nn.AvgPool2d(size // 4),
        nn.Flatten(), nn.Linear(4 * width, 10), nn.Softmax(1),
    )  # fmt: skip


def trained(module, shape, steps, seed=0):
    """Train a few steps on noise around ten patterns, so that nothing stays as it was drawn."""
    torch.manual_seed(seed)
    patterns = torch.randn(10, *shape)
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    for _ in range(steps):
        labels = torch.randint(10, (32,))
        logits = module[: -1 if isinstance(module[-1], nn.Softmax) else None](
            patterns[labels] + torch.randn(32, *shape)
        )
        optimizer.zero_grad()
        functional.cross_entropy(logits, labels).backward()
        optimizer.step()
    return module.eval(), patterns


def images(patterns, count, seed=1):
    """Images of the patterns, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=generator)
    noise = torch.randn(count, *patterns.shape[1:], generator=generator)
    return (patterns[labels] + noise).numpy(), labels.numpy()


def quantised(module, shape, folder, *, form="QDQ", steps=5, **options):
    """The file that onnxruntime's static quantiser writes of a trained module, and images."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    module, patterns = trained(module, shape, steps)
    calibration, _ = images(patterns, 64)
    plain, written = folder / "float.onnx", folder / f"{form}.onnx"
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.from_numpy(calibration[:1]),), plain, dynamo=False, opset_version=13
        )
        name = onnx.load(plain).graph.input[0].name
        rows = iter([{name: calibration[i : i + 1]} for i in range(len(calibration))])
        kinds = {key: getattr(QuantType, value) for key, value in options.pop("types", {}).items()}
        reader: Any = _Reader(rows)
        quantize_static(
            plain, written, reader, quant_format=getattr(QuantFormat, form),
            **kinds, **options,
        )  # fmt: skip
    logging.disable(level)
    return onnx.load(written), patterns


class _Reader:
    """What the quantiser asks for its images."""

    def __init__(self, rows):
        self.get_next = lambda: next(rows, None)


def exported(module, shape, folder, steps=5):
    """The file of Brevitas' QCDQ export of a trained module, and images."""
    module, patterns = trained(module, shape, steps)
    path = folder / "qcdq.onnx"
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.export import export_onnx_qcdq

        export_onnx_qcdq(module, args=torch.zeros(1, *shape), export_path=str(path), dynamo=False)
    logging.disable(level)
    return onnx.load(path), patterns


def brevitas_lenet(bits=4, channels=(6, 16), widths=(120, 84)):
    """LeNet-5 of Brevitas' layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn as qnn
        from brevitas.quant import Int32Bias

    one, two = channels
    own: dict[str, Any] = {"weight_bit_width": bits, "bias": True, "bias_quant": Int32Bias}
    relu: dict[str, Any] = {"bit_width": bits, "return_quant_tensor": True}
    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(1, one, 5, padding=2, **own), qnn.QuantReLU(**relu), nn.MaxPool2d(2),
        qnn.QuantConv2d(one, two, 5, **own), qnn.QuantReLU(**relu), nn.MaxPool2d(2),
        nn.Flatten(), qnn.QuantLinear(25 * two, widths[0], **own), qnn.QuantReLU(**relu),
        qnn.QuantLinear(*widths, **own), qnn.QuantReLU(**relu),
        qnn.QuantLinear(widths[1], 10, **own),
    )  # fmt: skip


def brevitas_resnet(bits=4, width=16, size=32):
    """ResNet-8 of Brevitas' layers; both sides of a sum have scales of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn as qnn

    own: dict[str, Any] = {"weight_bit_width": bits, "bias": False}

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride=1):
            super().__init__()
            quant: dict[str, Any] = {"bit_width": bits}
            self.one = qnn.QuantConv2d(inputs, outputs, 3, stride, padding=1, **own)
            self.norm = nn.BatchNorm2d(outputs)
            self.relu = qnn.QuantReLU(**quant)
            self.two = qnn.QuantConv2d(outputs, outputs, 3, padding=1, **own)
            self.main = qnn.QuantIdentity(**quant)
            self.side = nn.Identity()
            if stride > 1:
                self.side = nn.Sequential(
                    qnn.QuantConv2d(inputs, outputs, 1, stride, **own), qnn.QuantIdentity(**quant)
                )
            self.last = qnn.QuantReLU(**quant)

        def forward(self, x):
            y = self.main(self.two(self.relu(self.norm(self.one(x)))))
            return self.last(y + self.side(x))

    return nn.Sequential(
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(3, width, 3, padding=1, **own), nn.BatchNorm2d(width),
        qnn.QuantReLU(bit_width=bits), Block(width, width),
        Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2), nn.AvgPool2d(size // 4),
        qnn.QuantIdentity(bit_width=8), nn.Flatten(),
        qnn.QuantLinear(4 * width, 10, weight_bit_width=8, bias=True),
    )  # fmt: skip
