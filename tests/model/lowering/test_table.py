"""Modules that use torch in many ways: each is lowered to the same function, or refused by name."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.lowering import supported
from narrowgauge.model.lowering.lower import lower

IMAGE = (6, 6, 3)


class Body(nn.Module):
    """Layers, and a forward that a case gives: ``forward(self, x)`` with x behind the first one."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.other = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.head = nn.LazyLinear(2)
        self.inner = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        """Map images to logits."""
        return self.head(torch.flatten(self.inner(self, x), 1))


def body(forward, **layers):
    module = Body(forward, **layers)
    try:
        with torch.no_grad():
            module.eval()(torch.rand(2, 3, 6, 6))
    except Exception:  # a case that does not run is refused
        module.add_module("head", nn.Linear(1, 2))
    return module.train()


def chain(*layers):
    """Return a module of ``layers`` behind a convolution of 4 channels, before a linear layer."""
    return body(lambda self, x: self.layers(self.conv(x)), layers=nn.Sequential(*layers))


def changed(change, *layers):
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    module.append(nn.Linear(64, 2))
    return change(module) or module


def hooked(method, *arguments):
    def nothing(*_):
        return None

    def change(module):
        target = functools.reduce(getattr, method.split(".")[:-1], module)
        getattr(target, method.split(".")[-1])(nothing, *arguments)

    return lambda: changed(change)


def on(path, function, *arguments, **options):
    """Return a maker of a module on whose layer ``path`` a function of torch was called."""

    def change(module):
        function(module.get_submodule(path), *arguments, **options)

    return lambda: changed(change)


def setting(path, name, value):
    def change(module):
        setattr(module.get_submodule(path), name, value)

    return lambda: changed(change)


def tied(module):
    module.append(nn.Linear(2, 2))
    module.append(nn.Linear(2, 2))
    module[6].weight = module[5].weight


def sharing_memory(module):
    module.append(nn.Linear(2, 2))
    module.append(nn.Linear(2, 2))
    module[6].weight.data = module[5].weight.data


class Doubled(nn.Linear):
    """A linear layer of twice the weights."""

    def forward(self, input):
        """Map vectors."""
        return 2 * super().forward(input)


class Renamed(nn.Linear):
    """A linear layer by another name."""


class AlwaysOn(nn.Dropout):
    """Dropout that no mode turns off."""

    def forward(self, input):
        """Drop."""
        return functional.dropout(input, self.p, training=True)


class Frozen(nn.Sequential):
    """Holds its BatchNorm in evaluation."""

    def train(self, mode=True):
        """Set the mode of all but the norm."""
        super().train(mode)
        self[1].eval()
        return self


class Auxiliary(nn.Sequential):
    """Gives two results in training."""

    def forward(self, input):
        """Map images."""
        result = super().forward(input)
        return (result, result) if self.training else result


class Louder(nn.Sequential):
    """Gives another result in training."""

    def forward(self, input):
        """Map images."""
        result = super().forward(input)
        return result + result if self.training else result


class Switched(nn.Module):
    """Decides by a buffer, and takes options."""

    def __init__(self, *, option):
        super().__init__()
        self.layers = changed(lambda module: None)
        self.option = option

    def forward(self, x, scale=None, *, twice=False):
        """Map images."""
        return self.layers(x)


class Extra(nn.Sequential):
    """Reads an option."""

    def forward(self, input, scale=2.0):  # type: ignore[override]
        """Map images."""
        return super().forward(input)


def as_class(kind):
    def change(module):
        return kind(*module)

    return lambda: changed(change)


def aliased(self, x):
    x = self.conv(x)
    y = x
    y += self.conv2(x)
    return x + y


def written(self, x):
    x = self.conv(x)
    y = self.other2(x)
    x.add_(y)
    return y + x


def unread(self, x):
    x, y = self.conv(x), self.other(x)
    x.add_(y)
    return self.relu(y)


def viewed(self, x):
    x = self.conv(x)
    y = torch.flatten(x, 1)
    return functional.relu(y) + torch.flatten(x, 1)


def relu_behind_pool_read_later(self, x):
    x = self.norm(self.conv(x))
    y = self.relu(self.pool(x))
    return y + self.stride(x)


def two(function):
    """Return a maker of a module that joins two tensors."""
    return lambda: body(lambda self, x: function(self.conv(x), self.other(x)))


def one(function):
    """Return a maker of a module that maps one tensor."""
    return lambda: body(lambda self, x: function(self.conv(x)))


def norm(**options):
    return lambda: chain(nn.BatchNorm2d(4, **options), nn.ReLU())


def convolution(*sizes, **options):
    return lambda: chain(nn.ReLU(), nn.Conv2d(4, *sizes, **options), nn.ReLU())


def layer(kind, *arguments, **options):
    return lambda: chain(nn.ReLU(), kind(*arguments, **options))


TABLE = {  # what: how it is made, and None for the same function, or what the refusal says
    # --- calls
    "torch.add": (two(torch.add), None),
    "torch.add by name": (two(lambda x, y: torch.add(input=x, other=y)), None),
    "alpha": (two(lambda x, y: torch.add(x, y, alpha=2)), r"add \(add\) is called with alpha=2"),
    "alpha of 1": (two(lambda x, y: torch.add(x, y, alpha=1)), None),
    "alpha in place": (two(lambda x, y: x.add_(y, alpha=3.0)), r"add \(add_\) is .* alpha=3\.0"),
    "alpha of a method": (two(lambda x, y: x.add(y, alpha=0.5)), "alpha=0.5"),
    "add in place": (two(lambda x, y: x.add_(y)), None),
    "out": (two(lambda x, y: torch.add(x, y, out=x)), "called with out, which is not understood"),
    "a number": (one(lambda x: x + 1.0), None),
    "a number first": (one(lambda x: 1.0 + x), None),
    "twice the same": (one(lambda x: x + x), None),
    "a product": (one(lambda x: 2 * x), None),
    "a difference": (two(lambda x, y: x - y), None),
    "a layer used twice": (
        lambda: body(lambda self, x: self.conv(x) + self.mean(self.conv(x)), mean=nn.AvgPool2d(6)),
        r"conv \(Conv2d\) is used twice",
    ),
    "broadcast of two": (
        lambda: body(
            lambda self, x: self.conv(x) + self.mean(self.other(x)), mean=nn.AvgPool2d(6)
        ),
        "does not add two tensors of one shape",
    ),
    "relu": (one(functional.relu), None),
    "relu in place": (one(lambda x: functional.relu(x, inplace=True)), None),
    "relu_": (one(lambda x: x.relu_()), None),
    "leaky": (one(functional.leaky_relu), r"leaky_relu \(leaky_relu\) is not supported"),
    "relu6": (one(functional.relu6), None),
    "clamp": (one(lambda x: x.clamp(min=0)), None),
    "dropout in training": (one(lambda x: functional.dropout(x, training=True)), "dropout"),
    "flatten from 2": (one(lambda x: x.flatten(2)), "does not flatten all but the first"),
    "flatten of images": (one(lambda x: x.flatten(0, 1)), "mixes images"),
    "flatten to 2": (one(lambda x: x.flatten(1, 2)), "does not flatten all but the first"),
    "flatten by name": (one(lambda x: torch.flatten(x, start_dim=1, end_dim=3)), None),
    "negative dimensions": (one(lambda x: x.flatten(-3, -1)), None),
    "view": (one(lambda x: x.view(x.size(0), -1)), None),
    "a functional layer": (
        lambda: body(lambda self, x: functional.conv2d(x, self.conv.weight)),
        r"conv\.weight \(parameter or buffer\) is read by forward itself",
    ),
    "a random tensor": (
        one(lambda x: x + torch.arange(6.0)),
        r"add \(add\) reads a constant that differs within a channel",
    ),
    "a tensor of ones": (one(lambda x: x + torch.ones(1, 4, 6, 6)), None),
    "a layer called by name": (
        lambda: body(lambda self, x: self.relu(input=self.conv(input=x))),
        None,
    ),
    "control flow": (one(lambda x: x if x.sum() > 0 else -x), "Body cannot be traced"),
    "nothing reads it": (
        lambda: body(lambda self, x: (self.other(x), self.conv(x))[1]),
        r"other \(Conv2d\) gives a tensor that nothing reads",
    ),
    # --- memory
    "a view's ReLU": (lambda: body(viewed), None),
    "changed in place": (
        lambda: body(written, other2=nn.Conv2d(4, 4, 1)),
        r"add \(add_\) changes in place what others read later",
    ),
    "changed, then read": (lambda: body(unread), r"add \(add_\) gives a tensor that nothing reads"),
    "an alias": (
        lambda: body(aliased, conv2=nn.Conv2d(4, 4, 1)),
        "differs from it .*, first at head, or what forward does before it",
    ),
    "in place, then the old": (
        two(lambda x, y: x.add_(y) + x),
        r"add \(add_\) changes in place what others read later",
    ),
    "in place under a view": (
        one(lambda x: torch.flatten(x, 1).relu_() + torch.flatten(x, 1)),
        "changes in place what others read later",
    ),
    "a pool read again": (
        lambda: body(relu_behind_pool_read_later, stride=nn.AvgPool2d(2)),
        None,
    ),
    # --- layers
    "padding_mode": (convolution(4, 3, padding=1, padding_mode="circular"), "pads with circular"),
    "padding of a name": (convolution(4, 3, padding="valid"), None),
    "dilation": (convolution(4, 3, dilation=2), None),
    "groups": (convolution(4, 3, groups=4, stride=2), None),
    "sides": (convolution(4, (1, 3), stride=(2, 1), padding=(0, 1)), None),
    "padding beyond": (convolution(4, 1, padding=1), "has a window that hardware does not run"),
    "transposed": (layer(nn.ConvTranspose2d, 4, 4, 3, output_padding=0), "not supported"),
    "1d": (layer(nn.Conv1d, 4, 4, 1), r"Expected 2D .*; a network of one dimension takes \(len"),
    "eps": (norm(eps=0.5), None),
    "momentum": (norm(momentum=0.7), None),
    "momentum of None": (norm(momentum=None), None),
    "no statistics": (norm(track_running_stats=False), "no running statistics"),
    "no slope": (norm(affine=False), "has no slope and offset"),
    "no offset": (norm(bias=False), "has no slope and offset"),
    "group norm": (layer(nn.GroupNorm, 2, 4), "GroupNorm"),
    "norm used twice": (
        lambda: body(lambda self, x: self.norm(self.conv(x)) + self.norm(self.other(x))),
        r"norm \(BatchNorm2d\) is used twice",
    ),
    "pools used twice": (lambda: chain(*[nn.MaxPool2d(2, 1)] * 2, nn.ReLU()), None),
    "pools of layers used twice": (
        lambda: body(
            lambda self, x: self.pool(self.last(self.relu(self.pool(self.conv(x))))),
            last=nn.Conv2d(4, 4, 2, padding=1),
        ),
        None,
    ),
    "ceil_mode": (layer(nn.MaxPool2d, 4, ceil_mode=True), None),
    "indices": (layer(nn.MaxPool2d, 2, return_indices=True), "return_indices"),
    "dilated pool": (layer(nn.MaxPool2d, 2, dilation=2), "dilation"),
    "a pool's sides": (layer(nn.MaxPool2d, (2, 3), stride=(1, 2), padding=(1, 0)), None),
    "a mean's ceil_mode": (layer(nn.AvgPool2d, 4, ceil_mode=True), "has ceil_mode where"),
    "divisor_override": (layer(nn.AvgPool2d, 2, divisor_override=3), "divisor_override"),
    "padding does not count": (
        layer(nn.AvgPool2d, 2, padding=1, count_include_pad=False),
        "does not count padding",
    ),
    "padding counts": (layer(nn.AvgPool2d, 3, padding=1), None),
    "nothing to count": (layer(nn.AvgPool2d, 2, count_include_pad=False), None),
    "a mean of the image": (layer(nn.AdaptiveAvgPool2d, (1, 1)), None),
    "as a list": (layer(nn.AdaptiveAvgPool2d, [1, 1]), None),
    "sizes of None": (layer(nn.AdaptiveAvgPool2d, (None, 1)), None),
    "a mean, then layers": (
        lambda: chain(nn.ReLU(), nn.AvgPool2d(6), nn.Conv2d(4, 5, 1), nn.ReLU()),
        None,
    ),
    "a mean and a convolution": (
        lambda: body(
            lambda self, x: self.mean(self.conv(x)) + self.small(self.mean(self.other(x))),
            mean=nn.AdaptiveAvgPool2d(1),
            small=nn.Conv2d(4, 4, 1),
        ),
        None,
    ),
    "dropout": (layer(nn.Dropout2d, 0.9, inplace=True), None),
    "dropout that stays": (layer(AlwaysOn), "is a subclass of Dropout"),
    "a ReLU in place": (layer(nn.ReLU, inplace=True), None),
    "an end": (lambda: changed(lambda m: nn.Sequential(*m[:3], nn.AvgPool2d(4))), None),
    "a subclass": (lambda: chain(Doubled(6, 6)), r"layers\.0 \(Doubled\) is a subclass of Linear"),
    "a subclass alike": (lambda: chain(Renamed(6, 6)), "use Linear itself"),
    "lazy": (lambda: chain(nn.LazyConv2d(4, 3)), None),
    "lazy yet": (lambda: nn.Sequential(nn.LazyConv2d(4, 6)), "is a subclass of Conv2d"),
    # --- what is attached
    "a forward hook": (hooked("register_forward_hook"), r"Sequential has a forward hook \(nothing"),
    "a layer's hook": (
        on("0", nn.Module.register_forward_hook, lambda module, read, result: result * 2),
        r"0 \(Conv2d\) has a forward hook \(<lambda>\), which hardware does not run; remove it",
    ),
    "a hook that is always called": (
        on("2", nn.Module.register_forward_hook, print, always_call=True),
        r"2 \(ReLU\) has a forward hook \(print\)",
    ),
    "a pre-hook": (on("4", nn.Module.register_forward_pre_hook, print), "forward pre-hook"),
    "a backward hook": (on("4", nn.Module.register_full_backward_hook, print), "backward hook"),
    "a backward pre-hook": (
        on("4", nn.Module.register_full_backward_pre_hook, print),
        "backward pre-hook",
    ),
    "a hook of state_dict": (
        on("4", nn.Module.register_state_dict_pre_hook, print),
        "hook of its state_dict",
    ),
    "a hook of loading": (
        on("4", nn.Module.register_load_state_dict_post_hook, print),
        "hook of its state_dict",
    ),
    "a gradient hook": (
        lambda: changed(lambda module: (module[0].weight.register_hook(print), None)[1]),
        r"0 \(Conv2d\): weight has a gradient hook",
    ),
    "a parametrisation": (
        on("0", parametrizations.weight_norm),
        r"\(ParametrizedConv2d\) is parametrised \(weight by _WeightNorm\); make its",
    ),
    "orthogonal": (on("4", parametrizations.orthogonal), r"weight by _Orthogonal"),
    "spectral": (on("4", parametrizations.spectral_norm), r"weight by _SpectralNorm"),
    "weight_norm of the old kind": (on("0", weight_norm), r"forward pre-hook \(WeightNorm\)"),
    "spectral_norm of the old kind": (on("0", spectral_norm), r"pre-hook \(SpectralNorm\)"),
    "pruned": (on("0", prune.l1_unstructured, "weight", 0.5), r"pre-hook \(L1Unstructured\)"),
    "a method replaced": (
        setting("0", "forward", lambda x: x[:, :, 1:-1, 1:-1]),
        r"0 \(Conv2d\) has its method forward replaced",
    ),
    "the root's forward": (setting("", "forward", lambda x: x), "method forward replaced"),
    "a name of one's own": (setting("0", "nickname", "edges"), None),
    "an option changed later": (setting("2", "inplace", True), None),
    # --- parameters
    "float64": (lambda: changed(lambda module: module.double()), r"weight is float64, not float32"),
    "half": (lambda: changed(lambda module: module.half()), r"weight is float16"),
    "bfloat16": (on("4", nn.Module.bfloat16), r"4 \(Linear\): weight is bfloat16"),
    "no values": (lambda: changed(lambda module: module.to("meta")), "has no values yet"),
    "frozen": (on("0", nn.Module.requires_grad_, False), "weight is frozen"),
    "tied": (lambda: changed(tied), r"6 \(Linear\): weight is shared with 5\.weight"),
    "tied memory": (lambda: changed(sharing_memory), "weight is shared with 5.weight"),
    "nan": (
        lambda: changed(lambda module: (nn.init.constant_(module[4].weight, torch.nan), None)[1]),
        "elements that are not finite",
    ),
    # --- modes
    "a frozen norm": (as_class(Frozen), "differs from it in training .*, first at 0 to 2"),
    "two results in training": (as_class(Auxiliary), "gives a tuple, not logits in training"),
    "another in training": (as_class(Louder), "differs from it in training"),
    "an option": (as_class(Extra), r"scale \(scale\) is a second input"),
    "options": (lambda: Switched(option=1), "is a second input"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("what", TABLE)
def test_a_module_is_the_same_or_refused(what):
    torch.manual_seed(3)
    make, message = TABLE[what]
    module = make()
    if message is not None:
        with pytest.raises(NetworkError, match=message) as caught:
            lower(module, IMAGE)
        assert "\n" not in str(caught.value)
        return
    model = lower(module, IMAGE).eval()
    images = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        expected = copy.deepcopy(module).eval()(images)
        assert torch.allclose(expected.flatten(1), model(images), atol=1e-5)


def test_hooks_of_all_modules_are_refused():
    handle = nn.modules.module.register_module_forward_hook(print)
    try:
        with pytest.raises(NetworkError, match=r"for all modules \(print\)"):
            lower(changed(lambda module: None), IMAGE)
    finally:
        handle.remove()


@pytest.mark.parametrize("function", [lambda x, y: torch.add(x, y, alpha=2), torch.maximum])
def test_a_lowering_that_ignores_what_it_reads_is_found(monkeypatch, function):
    """The planted twin: a ``lower`` that takes any call for the plain one."""
    careless = supported.Call("add", ("alpha",), 2)
    monkeypatch.setitem(supported.FUNCTIONS, torch.add, careless)
    monkeypatch.setitem(supported.FUNCTIONS, torch.maximum, careless)
    with pytest.raises(NetworkError, match=r"differs from it by .*, first at (add|maximum)"):
        lower(two(function)(), IMAGE)


def test_what_zeros_hide_is_found(monkeypatch):
    """A branch whose last slope is 0 adds nothing, until it is trained."""
    careless = supported.Call("add", ("alpha",), 2)
    monkeypatch.setitem(supported.FUNCTIONS, torch.add, careless)

    def make():
        module = body(lambda self, x: torch.add(self.other(x), self.norm(self.conv(x)), alpha=2))
        nn.init.zeros_(module.norm.weight)
        return module

    with pytest.raises(NetworkError, match=r"it in training by .*, first at add"):
        lower(make(), IMAGE)
