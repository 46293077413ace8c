"""Steps while they are put together, and what a node of the graph shows of them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from ..layers.affine import Divide, Shift
from ..layers.limits import NO_LIMITS, Limits
from ..layers.steps import NO_PADDING, Block, Head, PoolBefore, SidedMaxPool, Sides, Step
from ..layers.unweighted import AddStep, AveragePoolStep, MaxPoolStep, UpsampleStep
from .scaling import Scaling
from .windows import PoolWindow

__all__ = ["DraftStep", "View", "as_image"]


@dataclass(eq=False)
class DraftStep:
    """A step being put together.

    Attributes
    ----------
    name : str
        Path of the module, or of the function, that it began with.
    kind : str
        ``input``, ``block``, ``head``, ``max_pool``, ``average_pool``, ``upsample`` or ``add``.
    sources : tuple of DraftStep
        What it reads.
    shape : tuple of int
        Channels, and rows and columns if it has them.
    stage : str
        How far a block is: ``sums``, ``pooled``, ``normed`` or ``done``.
    limits : Limits
        What its values are kept within.
    op, padding : Module, Sides
        Of a block: its weights, and what it pads.
    norm : Module or None
        Of a block: its BatchNorm.
    pool : PoolWindow or None
        Of a pool; of a block, the max pool before its norm.
    pool_name : str
        Of a block: the path of that pool.
    factors : tuple of int or None
        Of an enlarged image: rows and columns that each becomes.
    end : torch.fx.Node or None
        The last node in it, if any gives the same values.
    """

    name: str
    kind: str
    sources: tuple["DraftStep", ...]
    shape: tuple[int, ...]
    stage: str = "done"
    limits: Limits = NO_LIMITS
    op: nn.Conv2d | nn.Linear | None = None
    padding: Sides = NO_PADDING
    norm: nn.BatchNorm1d | nn.BatchNorm2d | None = None
    pool: PoolWindow | None = None
    pool_name: str = ""
    factors: tuple[int, int] | None = None
    end: fx.Node | None = None

    @property
    def channels(self) -> int:
        """Channels that it gives."""
        return self.shape[0]

    def step(self) -> Step:
        """Return the step; its layers are used, not copied."""
        if self.kind == "add":
            return AddStep(self.limits)
        if self.kind in ("max_pool", "average_pool"):
            return self._pool_step()
        if self.kind == "upsample":
            assert self.factors is not None
            return UpsampleStep(self.factors, self.limits)
        assert self.op is not None
        (source,), op = self.sources, self.op
        bias = torch.zeros(op.weight.shape[0]) if op.bias is None else op.bias.detach()
        op.register_parameter("bias", None)
        spatial, norm = source.shape, self._norm()
        if self.kind == "head":
            if norm is not None:
                bias = _without(norm, bias)
            return Head(op, spatial, bias, norm, padding=self.padding)
        before = None
        if self.pool is not None:
            before = PoolBefore(_max_pool(self.pool), self.pool_name)
        if norm is None:
            behind: nn.Module = Shift(bias)
        else:
            _without(norm, bias)
            behind = norm
        return Block(op, spatial, behind, self.limits, padding=self.padding, pooled=before)

    def _pool_step(self) -> Step:
        assert self.pool is not None
        if self.kind == "max_pool":
            return MaxPoolStep(_max_pool(self.pool), self.limits)
        image = self.sources[0].shape[1:]
        whole = (self.pool.kernel, self.pool.padding) == (image, (0, 0))
        taps = self.pool.kernel[0] * self.pool.kernel[1]
        return AveragePoolStep(*self.pool[:3], Divide(taps), self.limits, whole=whole)

    def _norm(self) -> nn.BatchNorm1d | nn.BatchNorm2d | None:
        """Return the norm of as many dimensions as its values have."""
        if self.norm is None:
            return None
        flat = self.kind == "head" or isinstance(self.op, nn.Linear)
        kind = nn.BatchNorm1d if flat else nn.BatchNorm2d
        if type(self.norm) is kind:
            return self.norm
        made = kind(self.norm.num_features, self.norm.eps, self.norm.momentum)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(made, name, getattr(self.norm, name))
        return made


def _max_pool(pool: PoolWindow) -> nn.MaxPool2d:
    if any(pool.beyond):
        return SidedMaxPool(pool.kernel, pool.stride, pool.sides)
    return nn.MaxPool2d(*pool[:3])


def _without(norm: nn.BatchNorm1d | nn.BatchNorm2d, bias: Tensor) -> Tensor:
    """Let the mean of a BatchNorm take the bias of the sums before it; return what remains."""
    assert not parametrize.is_parametrized(norm)
    assert norm.running_mean is not None
    norm.running_mean -= bias
    return torch.zeros_like(bias)


@dataclass(frozen=True, eq=False)
class View:
    """View of a step's values, in another shape, or not yet scaled or padded.

    Attributes
    ----------
    step : DraftStep
        Whose values.
    shape : tuple of int
        What an image has there; the order of the elements is that of the step.
    scaling : Scaling or None
        What is still to be done to its channels.
    padding : Sides
        Zeros around it that are still to be read; behind the scaling.
    parts : tuple of View
        Of a concatenation: what it joins; ``step`` is that of the first.
    """

    step: DraftStep
    shape: tuple[int, ...]
    scaling: Scaling | None = None
    padding: Sides = NO_PADDING
    parts: tuple["View", ...] = ()

    def shaped(self, shape: tuple[int, ...]) -> "View":
        """Return the same elements in another shape."""
        return replace(self, shape=shape)

    @property
    def is_plain(self) -> bool:
        """Whether it is what the step gives, but for its shape."""
        return self.scaling is None and self.padding == NO_PADDING and not self.parts

    @property
    def is_image(self) -> bool:
        """Whether it has the channels, rows and columns of its step; a line has one row."""
        return as_image(self.shape) == as_image(self.step.shape)


def as_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return channels, rows and columns of a vector, a line or an image."""
    channels, *rest = shape
    return (channels, *[1] * (2 - len(rest)), *rest)
