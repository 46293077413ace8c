"""Assembly: the calls of a traced module become steps, each as hardware runs it.

A convolution or linear layer takes the BatchNorm, the bounds, the constants and (before a
BatchNorm) the max pool behind it into one step. What nothing can take becomes a step of its own, a
convolution of one weight a channel. Constants wait until a step can take them: the one before, or
the one behind.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf
from typing import cast

import torch
from torch import Tensor, fx, nn

from ...hw.errors import NetworkError
from ..layers.blocks import Model
from ..layers.limits import Limits
from ..layers.steps import NO_PADDING, Sides
from .agreement import Ends, LastCall
from .builder import StepBuilder
from .calls import TracedCall
from .drafts import DraftStep, View, as_image
from .scaling import Scaling, fold_before, per_channel, scale_behind
from .supported import SUPPORTED
from .tracing import TracedModule
from .windows import PoolWindow, as_convolution, as_pool, check_window, shown, sides_of

__all__ = ["Assembly"]

BOUNDS = {"ReLU": Limits(0), "ReLU6": Limits(0, 6)}


class Assembly(StepBuilder):
    """Walks through a traced module, once.

    Parameters
    ----------
    traced : TracedModule
        What it computes; its layers become those of the steps.
    image_shape : tuple of int
        Height, width and channels of an image.

    Raises
    ------
    NetworkError
        For a call that is not supported, or not as it is used.
    """

    def __init__(self, traced: TracedModule, image_shape: tuple[int, int, int]):
        super().__init__(traced, image_shape)
        self.last: LastCall | None = None
        self._lower: dict[str, Callable[[fx.Node, TracedCall], View]] = {
            "add": self._arithmetic,
            "average_pool": self._average_pool,
            "clip": self._clip,
            "divide": self._arithmetic,
            "join": self._join,
            "max_pool": self._max_pool,
            "mean": self._mean,
            "multiply": self._arithmetic,
            "negate": self._negate,
            "norm": self._norm,
            "pad": self._pad,
            "reshape": self._reshape,
            "same": self._same,
            "softmax": self._softmax,
            "subtract": self._arithmetic,
            "upsample": self._upsample,
            "weights": self._weights,
        }

    def model(self) -> tuple[Model, Ends]:
        """Return the network, and where its steps end."""
        for node in self.traced.nodes:
            if node.op == "placeholder":
                self.views[node] = self._begin(node)
            elif node.op == "output":
                self._finish(node)
            elif node in self._operations:
                if self.traced.shape(node)[:1] != self.traced.shape(self._inputs(node)[0])[:1]:
                    if isinstance(self.traced.result(node), Tensor):
                        self._refuse(node, "mixes images")
                operation = self._operations[node]
                self.views[node] = self._lower[operation.kind](node, operation)
        return self._built()

    # --- layers with parameters ----------------------------------------------------------------

    def _weights(self, node: fx.Node, operation: TracedCall) -> View:
        (read,), op = self._inputs(node), operation.layer
        view, sides = self.views[read], NO_PADDING
        if view.parts:
            assert isinstance(op, nn.Conv1d | nn.Conv2d | nn.Linear)
            return self._sum_of_parts(node, op, view)
        if isinstance(op, nn.Linear):
            view = self._unpadded(node, read)
            if view.shape != (op.in_features,):
                self._refuse(node, "reads a tensor that is not flattened")
        else:
            assert isinstance(op, nn.Conv1d | nn.Conv2d)
            if not view.is_image or len(view.shape) != op.weight.ndim - 1:
                self._refuse(
                    node,
                    f"reads {shown(view.shape)} where {view.step.name} gives "
                    f"{shown(view.step.shape)}, channels first: a line of one dimension is an "
                    "image of one row",
                )
            op, sides = as_convolution(op, partial(self._refuse, node))
            sides = self._padded(node, op, sides, view)
        if view.scaling is not None:
            if view.scaling.keeps_zero or sides == NO_PADDING:
                fold_before(op, view.scaling)
            else:
                view = self._settled(node, read)
        shape = self._shape(node)
        draft = DraftStep(
            *("", "block", (view.step,), shape if isinstance(op, nn.Linear) else as_image(shape)),
            stage="sums",
            op=op,
            padding=sides,
        )
        return View(self._append(node, draft), shape)

    def _join(self, node: fx.Node, operation: TracedCall) -> View:
        """Return tensors side by side: a layer of weights reads each with its part of them."""
        given, axis = operation.options.get("tensors"), operation.options.get("dim", 0)
        reads = list(given) if isinstance(given, list | tuple) else []
        if not reads or not all(map(self._varies, reads)):
            self._refuse(node, "does not join tensors that the network gives")
        if not isinstance(axis, int) or axis % len(self.traced.shape(node)) != 1:
            self._refuse(node, f"joins along dimension {axis}, not channels: use dim=1")
        parts = tuple(self._settled(node, cast(fx.Node, each)) for each in reads)
        return View(parts[0].step, self._shape(node), parts=parts)

    def _sum_of_parts(
        self, node: fx.Node, op: nn.Conv1d | nn.Conv2d | nn.Linear, view: View
    ) -> View:
        """Return the sum of layers, each with the weights of one of the joined tensors."""
        sides, shape = NO_PADDING, self._shape(node)
        flat = isinstance(op, nn.Linear)
        if not flat:
            op, sides = as_convolution(op, partial(self._refuse, node))
            if op.groups != 1 or not all(part.is_image for part in view.parts):
                self._refuse(node, "reads what was concatenated, in groups or in another shape")
        elif len(view.shape) != 1:
            self._refuse(node, "reads a tensor that is not flattened")
        sizes = [torch.Size(part.step.shape).numel() if flat else part.step.channels
                 for part in view.parts]  # fmt: skip
        found: DraftStep | None = None
        for index, (part, weight) in enumerate(
            zip(view.parts, op.weight.detach().split(sizes, dim=1), strict=True)
        ):
            own = _with_weights(op, weight, op.bias if index == 0 else None)
            size = shape if flat else as_image(shape)
            draft = DraftStep("", "block", (part.step,), size, "sums", op=own, padding=sides)
            step = self._append(node, draft, ends=False)
            if found is None:
                found = step
                continue
            last = index == len(sizes) - 1
            draft = DraftStep("", "add", (found, step), size)
            found = self._append(node, draft, ends=last)
        assert found is not None
        return View(found, shape)

    def _padded(self, node: fx.Node, op: nn.Conv2d, sides: Sides, view: View) -> Sides:
        """Return what a convolution pads, with what was padded before it."""
        top, left, bottom, right = (a + b for a, b in zip(sides, view.padding, strict=True))
        if view.padding != NO_PADDING:
            check_window(op, (top, left, bottom, right), partial(self._refuse, node))
        return top, left, bottom, right

    def _norm(self, node: fx.Node, operation: TracedCall) -> View:
        norm, view = operation.layer, self._view(node)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        constants = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        if any(each is None for each in constants) or not norm.track_running_stats:
            self._refuse(node, "has no slope and offset, or no running statistics")
        step = view.step
        if norm.num_features != step.channels:
            self._refuse(node, "normalises what was flattened: normalise its channels before that")
        follows = view.is_plain and step.kind == "block" and step.stage in ("sums", "pooled")
        if not follows or not self._is_alone(self._inputs(node)[0]):
            step = self._own(node, view).step
        elif step.stage == "pooled" and bool((norm.weight < 0).any()):
            self._refuse(node, "has a negative slope behind a max pool")
        step.norm = norm
        return self._extend(step, node, "normed")

    # --- bounds and pools ----------------------------------------------------------------------

    def _clip(self, node: fx.Node, operation: TracedCall) -> View:
        limits, (read, *_) = self._limits(node, operation), self._inputs(node)
        view = self._settled(node, read)
        step = view.step
        if step.limits.then(limits) == step.limits:
            return view.shaped(self._shape(node))  # nothing is beyond
        if step.kind == "max_pool" and self._is_alone(read):  # bounds commute with a maximum
            (source,) = step.sources
            (before,) = self._inputs(self._made[step])
            if source.kind in ("block", "add") and self._is_alone(before):
                source.limits = step.limits = source.limits.then(limits)
                source.stage, source.end, step.end = "done", None, node
                self._changed.add(node)
                return view.shaped(self._shape(node))
        if step.kind not in ("block", "add") or not self._is_alone(read):
            step = self._own(node, view).step
        step.limits = step.limits.then(limits)
        return self._extend(step, node, "done")

    def _limits(self, node: fx.Node, operation: TracedCall) -> Limits:
        layer = operation.layer
        if layer is None:
            low, high = operation.options.get("min"), operation.options.get("max")
        elif isinstance(layer, nn.Hardtanh) and not isinstance(layer, nn.ReLU6):
            low, high = layer.min_val, layer.max_val
        else:
            return BOUNDS[type(layer).__name__]
        low, high = -inf if low is None else low, inf if high is None else high
        if not isinstance(low, int | float) or not isinstance(high, int | float):
            self._refuse(node, "has bounds that are no numbers")
        if not low <= 0 <= high or low == high:
            self._refuse(node, f"keeps values within {low:g} and {high:g}, which leaves out 0")
        return Limits(low, high)

    def _max_pool(self, node: fx.Node, operation: TracedCall) -> View:
        view = self._image(node)
        if view.scaling is not None and not view.scaling.rises:
            view = self._settled(node, self._inputs(node)[0])
        pool = self._pool(node, operation, view)
        if pool is None:
            return view.shaped(self._shape(node))
        step, shape = view.step, as_image(self._shape(node))
        is_sum = step.kind == "block" and step.stage == "sums"
        if view.is_plain and is_sum and self._is_alone(self._inputs(node)[0]):
            step.pool, step.pool_name, step.shape = pool, self._new_name(node), shape
            return self._extend(step, node, "pooled")
        draft = DraftStep("", "max_pool", (step,), shape, limits=step.limits, pool=pool)
        made = self._append(node, draft, ends=view.is_plain)
        return View(made, self._shape(node), view.scaling)

    def _average_pool(self, node: fx.Node, operation: TracedCall) -> View:
        view = self._image(node)
        pool = self._pool(node, operation, view)
        if pool is None:
            return view.shaped(self._shape(node))
        return self._average(node, view, pool)

    def _pool(self, node: fx.Node, operation: TracedCall, view: View) -> PoolWindow | None:
        assert operation.layer is not None
        _, rows, columns = view.step.shape
        return as_pool(operation.layer, (rows, columns), partial(self._refuse, node))

    def _average(self, node: fx.Node, view: View, pool: PoolWindow) -> View:
        if view.scaling is not None and any(pool.padding) and not view.scaling.keeps_zero:
            view = self._settled(node, self._inputs(node)[0])
        step, shape = view.step, as_image(self._shape(node))
        draft = DraftStep("", "average_pool", (step,), shape, limits=step.limits, pool=pool)
        made = self._append(node, draft, ends=view.is_plain)
        return View(made, self._shape(node), view.scaling)

    def _mean(self, node: fx.Node, operation: TracedCall) -> View:
        dimensions = len(self.traced.shape(self._inputs(node)[0]))
        given = operation.options.get("dim")
        axes = [given] if isinstance(given, int) else list(cast("tuple[int, ...]", given or ()))
        if sorted(axis % dimensions for axis in axes) != list(range(2, dimensions)) or not axes:
            self._refuse(node, "is not the mean of all rows and columns: use mean((2, 3))")
        view = self._image(node)
        _, rows, columns = view.step.shape
        return self._average(node, view, PoolWindow((rows, columns)))

    # --- shapes --------------------------------------------------------------------------------

    def _same(self, node: fx.Node, operation: TracedCall) -> View:
        return self.views[self._inputs(node)[0]]

    def _reshape(self, node: fx.Node, operation: TracedCall) -> View:
        (read, *_) = self._inputs(node)
        before, shape = self._shape(read), self._shape(node)
        view = self.views[read]
        if not view.parts or len(shape) != 1:
            view = self._view(node)
        if torch.Size(shape).numel() != torch.Size(before).numel():
            self._refuse(node, "takes a part of a tensor, which no layer does")
        index = operation.options.get("index", ())
        parts = index if isinstance(index, tuple) else (index,)
        if not all(each is None or each is ... or isinstance(each, int | slice) for each in parts):
            self._refuse(node, "is indexed with more than numbers and slices")
        if parts and isinstance(parts[0], slice) and parts[0] != slice(None):
            self._refuse(node, "takes some of the images, and hardware classifies each alone")
        sizes = [[size for size in each if size != 1] for each in (shape, view.step.shape)]
        if len(shape) != 1 and sizes[0] != sizes[1]:
            self._refuse(
                node,
                f"makes {shown(shape)} of {shown(view.step.shape)}, channels first: it does not "
                "flatten all but the first dimension",
            )
        return view.shaped(shape)

    def _pad(self, node: fx.Node, operation: TracedCall) -> View:
        (read, *_) = self._inputs(node)
        view, layer = self.views[read], operation.layer
        given = operation.options.get("pad") if layer is None else layer.padding
        value = operation.options.get("value") if layer is None else getattr(layer, "value", 0)
        if value not in (None, 0):
            self._refuse(node, f"pads with {value}, not with zeros")
        if not view.is_image:
            self._refuse(node, "pads what has no rows and columns")
        if view.scaling is not None and not view.scaling.keeps_zero:
            view = self._settled(node, read)
        sides = sides_of(
            cast("tuple[int, ...]", given), len(view.shape) - 1, partial(self._refuse, node)
        )
        top, left, bottom, right = (a + b for a, b in zip(sides, view.padding, strict=True))
        return replace(view, padding=(top, left, bottom, right))

    def _upsample(self, node: fx.Node, operation: TracedCall) -> View:
        """Repeat pixels; a nearest neighbour of whole multiples is that."""
        wanted, given = self._shape(node), self._shape(self._inputs(node)[0])
        if wanted == given:
            return self._view(node)
        layer = operation.layer
        mode = operation.options.get("mode", "nearest") if layer is None else layer.mode
        if mode not in ("nearest", "nearest-exact"):
            self._refuse(
                node, f"computes pixels between others ({mode}), which no layer does: use nearest"
            )
        view = self._image(node)
        wide, size = as_image(wanted)[1:], as_image(given)[1:]
        if any(more % less for more, less in zip(wide, size, strict=True)):
            self._refuse(
                node, f"makes {shown(wide)} pixels of {shown(size)}: give a whole multiple of each"
            )
        rows, columns = (more // less for more, less in zip(wide, size, strict=True))
        step = view.step
        draft = DraftStep(
            *("", "upsample", (step,), as_image(wanted)),
            limits=step.limits,
            factors=(rows, columns),
        )
        return View(self._append(node, draft, ends=view.is_plain), wanted, view.scaling)

    # --- arithmetic ----------------------------------------------------------------------------

    def _negate(self, node: fx.Node, operation: TracedCall) -> View:
        (read, *_) = self._inputs(node)
        channels = self.views[read].step.channels
        return self._scaled(node, read, Scaling.none(channels).negative(), ends=True)

    def _arithmetic(self, node: fx.Node, operation: TracedCall) -> View:
        """Join two tensors, or one and a constant."""
        one, two = operation.operands
        kind = operation.kind
        if self._varies(one) and self._varies(two):
            return self._joined(node, kind, cast(fx.Node, one), cast(fx.Node, two))
        first = self._varies(one)
        read, other = cast("tuple[fx.Node, object]", (one, two) if first else (two, one))
        if isinstance(other, fx.Node):
            other = self.traced.result(other)
        shape, channels = self.traced.shape(read), self._unpadded(node, read).step.channels
        constant = per_channel(other, shape, channels, partial(self._refuse, node))
        none = Scaling.none(channels)
        if kind == "add":
            scaling = Scaling(none.slope, constant)
        elif kind == "subtract":
            scaling = Scaling(none.slope, -constant) if first else Scaling(-none.slope, constant)
        elif kind == "multiply":
            scaling = Scaling(constant, none.offset)
        elif not first or bool((constant == 0).any()):
            self._refuse(node, "divides by a tensor, or by 0: divide by constants")
        else:
            scaling = Scaling(1 / constant, none.offset)
        return self._scaled(node, read, scaling, ends=True)

    def _scaled(self, node: fx.Node, read: fx.Node, scaling: Scaling, *, ends: bool) -> View:
        """Return what ``read`` gives, scaled: by the layer before, if only ``node`` reads it."""
        view = self._unpadded(node, read)
        step = view.step
        open_stages = ("sums", "normed") if step.pool is None else ("pooled", "normed")
        takes = step.kind == "block" and step.stage in open_stages and view.is_plain
        if takes and (step.pool is None or scaling.rises) and self._is_alone(read):
            layer = step.norm if step.stage == "normed" else step.op
            assert layer is not None
            scale_behind(layer, scaling)
            step.end = node if ends else None
            self._changed.add(node)
            return view
        before = view.scaling or Scaling.none(step.channels)
        return replace(view, scaling=before.then(scaling))

    def _joined(self, node: fx.Node, kind: str, one: fx.Node, two: fx.Node) -> View:
        """Return the sum or the difference of two tensors."""
        if kind not in ("add", "subtract"):
            self._refuse(node, f"is to {kind} two tensors: {kind} by constants, or add tensors")
        views = [self._settled(node, each) for each in (one, two)]
        shapes = {self._shape(each) for each in (one, two, node)}
        if len(shapes) != 1 or len({as_image(view.step.shape) for view in views}) != 1:
            self._refuse(node, "does not add two tensors of one shape")
        if kind == "subtract":
            negative = Scaling.none(views[1].step.channels).negative()
            if one is two:
                views[1] = replace(views[1], scaling=negative)
            else:
                views[1] = self._scaled(node, two, negative, ends=False)
            if views[1].scaling is not None:
                views[1] = self._own(node, views[1])
        sources = (views[0].step, views[1].step)
        draft = DraftStep("", "add", sources, sources[0].shape)
        return View(self._append(node, draft), self._shape(node))

    # --- ends ----------------------------------------------------------------------------------

    def _softmax(self, node: fx.Node, operation: TracedCall) -> View:
        """Leave out the last call: the largest logit stays the largest."""
        view, layer = self._view(node), operation.layer
        axis = operation.options.get("dim") if layer is None else layer.dim
        dimensions = len(self.traced.shape(node))
        if not isinstance(axis, int) or axis % dimensions != 1:
            self._refuse(node, f"is over dimension {axis}, not over the classes: use dim=1")
        self.last = torch.log_softmax if "log" in operation.name.lower() else torch.softmax
        self.remarks.append(
            f"{self._path(node)} ({operation.name}) is left out: the largest logit stays the "
            "largest, and training takes the cross entropy of logits"
        )
        return view

    def _finish(self, node: fx.Node) -> None:
        """Check what leaves the network, and make its last weighted layer the head."""
        if not any(each.kind == "block" for each in self.steps):
            raise NetworkError(f"the network has no convolution or linear layer; {SUPPORTED}")
        end = node.args[0]
        if isinstance(end, tuple | list | dict):
            raise NetworkError(
                f"the module returns {len(end)} tensors, as of an early exit; it is trained and "
                "lowered with one tensor of logits: import the ONNX file of a quantised one"
            )
        if not isinstance(end, fx.Node) or end not in self.views:
            raise NetworkError(f"the network's output is one tensor of logits; {SUPPORTED}")
        view = self._settled(end, end)
        step = view.step
        if step is not self.steps[-1]:
            raise NetworkError(f"the network's output is one tensor of logits; {SUPPORTED}")
        is_sum = step.stage in ("sums", "normed") and step.pool is None
        if step.kind == "block" and is_sum:
            step.kind = "head"
        elif step.kind != "average_pool":
            raise NetworkError(
                f"the network ends with {step.name}: the last layer is a convolution or linear "
                "layer without activation or max pool, or an average pool over the image"
            )
        channels, *rest = step.shape
        if any(size != 1 for size in rest):
            raise NetworkError(
                f"the network ends with {step.name}, which gives {channels} channels at "
                f"{rest[0]}x{rest[1]} positions, not one logit a class"
            )


def _with_weights(
    op: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor | None
) -> nn.Conv2d | nn.Linear:
    """Return a layer like ``op`` with other weights."""
    made = copy.deepcopy(op)
    made.weight = nn.Parameter(weight.clone())
    own = None if bias is None else nn.Parameter(bias.detach().clone())
    made.register_parameter("bias", own)
    return made
