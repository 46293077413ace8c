"""Lists the torch modules, functions and methods that hardware runs, and what is near to others."""

import operator
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

__all__ = ["MODULES", "SUPPORTED", "VIEWS", "Call", "call_of", "nearest_to"]

SUPPORTED = (
    "supported are Conv2d, Linear, BatchNorm, ReLU, ReLU6, Hardtanh, max and average pools, those "
    "of one dimension and their functions, nearest Upsample, Flatten, reshapes that keep the "
    "order, Dropout, Identity, +, -, cat into a layer, constants of a channel, and a last Softmax"
)
VIEWS = ("same", "reshape")  # kinds of nodes that give the memory that they read

Layer = type[nn.Module]
Target = object
"""What a node calls: a function of torch, the name of a method, or a module's class."""


@dataclass(frozen=True)
class Call:
    """Signature of a supported function or method.

    Attributes
    ----------
    kind : str
        What it does; see `assembly`.
    names : tuple of str
        Its parameters behind the tensors, in their order.
    tensors : int
        How many tensors or constants come first.
    allowed : dict
        Values that parameters may have, where not all of them are understood.
    layer : Module class, optional
        The module that does the same, of the same parameters.
    """

    kind: str
    names: tuple[str, ...] = ()
    tensors: int = 1
    allowed: dict[str, tuple[object, ...]] = field(default_factory=dict)
    layer: Layer | None = None


MODULES: dict[Layer, str] = {
    nn.Conv1d: "weights",
    nn.Conv2d: "weights",
    nn.Linear: "weights",
    nn.BatchNorm1d: "norm",
    nn.BatchNorm2d: "norm",
    nn.ReLU: "clip",
    nn.ReLU6: "clip",
    nn.Hardtanh: "clip",
    nn.MaxPool1d: "max_pool",
    nn.MaxPool2d: "max_pool",
    nn.AvgPool1d: "average_pool",
    nn.AvgPool2d: "average_pool",
    nn.AdaptiveAvgPool1d: "average_pool",
    nn.AdaptiveAvgPool2d: "average_pool",
    nn.AdaptiveMaxPool1d: "max_pool",
    nn.AdaptiveMaxPool2d: "max_pool",
    nn.ZeroPad1d: "pad",
    nn.ZeroPad2d: "pad",
    nn.ConstantPad1d: "pad",
    nn.ConstantPad2d: "pad",
    nn.Flatten: "reshape",
    nn.Unflatten: "reshape",
    nn.Softmax: "softmax",
    nn.LogSoftmax: "softmax",
    nn.Upsample: "upsample",
    nn.UpsamplingNearest2d: "upsample",
    nn.Dropout: "same",
    nn.Dropout1d: "same",
    nn.Dropout2d: "same",
    nn.Identity: "same",
}


def _pool(layer: Layer) -> Call:
    names = "kernel_size stride padding"
    if layer in (nn.MaxPool1d, nn.MaxPool2d):
        return Call("max_pool", (*names.split(), *"dilation ceil_mode return_indices".split()),
                    layer=layer)  # fmt: skip
    names += " ceil_mode count_include_pad"
    if layer is nn.AvgPool2d:
        names += " divisor_override"
    return Call("average_pool", tuple(names.split()), layer=layer)


def _adaptive(layer: Layer) -> Call:
    kind = MODULES[layer]
    names = ("output_size", "return_indices") if kind == "max_pool" else ("output_size",)
    return Call(kind, names, layer=layer)


_ADD = Call("add", ("alpha",), 2, {"alpha": (1,)})
_SUBTRACT = Call("subtract", ("alpha",), 2, {"alpha": (1,)})
_DIVIDE = Call("divide", ("rounding_mode",), 2, {"rounding_mode": (None,)})
_MULTIPLY = Call("multiply", (), 2)
_NEGATE = Call("negate")
_RELU = Call("clip", ("inplace",), layer=nn.ReLU)
_CLAMP = Call("clip", ("min", "max"))
_FLATTEN = Call("reshape", ("start_dim", "end_dim"))
_RESHAPE = Call("reshape", ("*",))
_SQUEEZE = Call("reshape", ("dim",))
_MEAN = Call("mean", ("dim", "keepdim", "dtype"), allowed={"dtype": (None,)})
_SAME = Call("same")
_DROPOUT = Call("same", ("p", "training", "inplace"), allowed={"training": (False,)})
_JOIN = Call("join", ("tensors", "dim"), 0)
_SOFTMAX = Call("softmax", ("dim", "_stacklevel", "dtype"), allowed={"dtype": (None,)})
_AXIS = Call("softmax", ("dim", "dtype"), allowed={"dtype": (None,)})

FUNCTIONS: dict[Target, Call] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), _ADD),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, torch.subtract), _SUBTRACT),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, torch.multiply), _MULTIPLY),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, torch.true_divide), _DIVIDE),
    **dict.fromkeys((operator.neg, torch.neg), _NEGATE),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), _JOIN),
    torch.relu: _RELU,
    functional.relu: _RELU,
    functional.relu6: Call("clip", ("inplace",), layer=nn.ReLU6),
    functional.hardtanh: Call("clip", ("min_val", "max_val", "inplace"), layer=nn.Hardtanh),
    torch.clamp: _CLAMP,
    torch.clip: _CLAMP,
    torch.flatten: _FLATTEN,
    torch.reshape: Call("reshape", ("shape",)),
    torch.squeeze: _SQUEEZE,
    torch.unsqueeze: _SQUEEZE,
    operator.getitem: Call("reshape", ("index",)),
    torch.mean: _MEAN,
    functional.max_pool1d: _pool(nn.MaxPool1d),
    functional.max_pool2d: _pool(nn.MaxPool2d),
    functional.avg_pool1d: _pool(nn.AvgPool1d),
    functional.avg_pool2d: _pool(nn.AvgPool2d),
    functional.adaptive_avg_pool1d: _adaptive(nn.AdaptiveAvgPool1d),
    functional.adaptive_avg_pool2d: _adaptive(nn.AdaptiveAvgPool2d),
    functional.adaptive_max_pool1d: _adaptive(nn.AdaptiveMaxPool1d),
    functional.adaptive_max_pool2d: _adaptive(nn.AdaptiveMaxPool2d),
    functional.pad: Call("pad", ("pad", "mode", "value"), allowed={"mode": ("constant",)}),
    functional.interpolate: Call(
        "upsample",
        ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"),
    ),
    functional.dropout: _DROPOUT,
    functional.dropout1d: _DROPOUT,
    functional.dropout2d: _DROPOUT,
    functional.softmax: _SOFTMAX,
    functional.log_softmax: _SOFTMAX,
    torch.softmax: _AXIS,
    torch.log_softmax: _AXIS,
}
METHODS: dict[str, Call] = {
    "add": _ADD,
    "add_": _ADD,
    "sub": _SUBTRACT,
    "sub_": _SUBTRACT,
    "mul": _MULTIPLY,
    "mul_": _MULTIPLY,
    "div": _DIVIDE,
    "div_": _DIVIDE,
    "neg": _NEGATE,
    "relu": Call("clip", layer=nn.ReLU),
    "relu_": Call("clip", layer=nn.ReLU),
    "clamp": _CLAMP,
    "clamp_": _CLAMP,
    "clip": _CLAMP,
    "flatten": _FLATTEN,
    "view": _RESHAPE,
    "reshape": _RESHAPE,
    "squeeze": _SQUEEZE,
    "unsqueeze": _SQUEEZE,
    "unflatten": Call("reshape", ("dim", "sizes")),
    "mean": _MEAN,
    "contiguous": _SAME,
    "clone": _SAME,
    "float": _SAME,
    "to": Call("same", ("*",)),
    "softmax": _AXIS,
    "log_softmax": _AXIS,
}


def _names(names: str, nearest: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), nearest)


NEAREST: dict[str, str] = {
    **_names(
        "LeakyReLU ELU SELU GELU SiLU Mish Softplus PReLU Sigmoid Tanh Hardswish Hardsigmoid RReLU "
        "CELU LogSigmoid leaky_relu elu selu gelu silu mish softplus prelu sigmoid tanh hardswish "
        "hardsigmoid abs",
        "use ReLU, ReLU6 or Hardtanh",
    ),
    **_names(
        "GroupNorm LayerNorm InstanceNorm1d InstanceNorm2d LocalResponseNorm group_norm layer_norm "
        "instance_norm local_response_norm batch_norm normalize",
        "use BatchNorm1d or BatchNorm2d",
    ),
    **_names(
        "stack hstack vstack",
        "add tensors of the same shape (x + y), or let one layer give all channels",
    ),
    **_names(
        "permute transpose movedim swapaxes channel_shuffle ChannelShuffle",
        "hardware keeps channels, rows and columns in their order",
    ),
    **_names(
        "UpsamplingBilinear2d PixelShuffle pixel_shuffle PixelUnshuffle pixel_unshuffle",
        "use nearest Upsample and Conv2d",
    ),
    **_names("ConvTranspose1d ConvTranspose2d conv_transpose2d", "use nearest Upsample and Conv2d"),
    **_names(
        "conv1d conv2d linear bilinear matmul bmm mm einsum", "use a layer: nn.Conv2d or nn.Linear"
    ),
    **_names(
        "LSTM GRU RNN MultiheadAttention Embedding Transformer", "use convolutions or linear layers"
    ),
    **_names("argmax max topk", "give the logits themselves; the largest is the label"),
    **_names("LPPool2d FractionalMaxPool2d", "use MaxPool2d or AvgPool2d"),
}


def call_of(op: str, target: Target) -> Call | None:
    """Return how a node of a traced graph is read, or None for what hardware has no equal of.

    Parameters
    ----------
    op : str
        That of the node.
    target : object
        The module, the function, or the name of the method that it calls.
    """
    if op == "call_module":
        kind = MODULES.get(type(target))  # type: ignore[arg-type]
        return Call(kind) if kind else None
    try:
        return METHODS.get(str(target)) if op == "call_method" else FUNCTIONS.get(target)
    except TypeError:  # what has no hash is no function of torch
        return None


def nearest_to(name: str) -> str:
    """Return what to use in place of what is not supported, by its name; empty where nothing is."""
    return NEAREST.get(name, "")
