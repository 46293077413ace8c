"""Steps that are being put together, and what every node of a traced module shows of them.

A node shows a step's values: as they are, in another shape, scaled, padded, or side by side with
others. Constants wait in what is shown until a step takes them, or become a step of their own.
"""

from typing import cast

from torch import fx, nn

from ...hw.network.network import INPUT
from ..layers.blocks import Model, Node
from ..layers.steps import NO_PADDING
from .agreement import Ends
from .drafts import DraftStep, View, as_image
from .reading import ReadCalls
from .scaling import Scaling
from .tracing import TracedModule

__all__ = ["StepBuilder"]


class StepBuilder(ReadCalls):
    """Calls of a traced module, the steps drafted for them, and what each node shows.

    Parameters
    ----------
    traced : TracedModule
        What it computes; its layers become those of the steps.
    image_shape : tuple of int
        Height, width and channels of an image.

    Attributes
    ----------
    views : dict
        What each node shows, by node.
    steps : list of DraftStep
        In the order in which they run.
    remarks : list of str
        What is left out.

    Raises
    ------
    NetworkError
        For a call that is not supported, or not as it is used.
    """

    def __init__(self, traced: TracedModule, image_shape: tuple[int, int, int]):
        super().__init__(traced)
        self.image_shape = image_shape
        self.views: dict[fx.Node, View] = {}
        self.steps: list[DraftStep] = []
        self.remarks: list[str] = []
        self._made: dict[DraftStep, fx.Node] = {}
        self._changed: set[fx.Node] = set()  # nodes that changed the step that they read

    def _built(self) -> tuple[Model, Ends]:
        """Return the network of all steps, and where each one ends."""
        nodes = [
            Node(each.name, tuple(source.name for source in each.sources), each.shape)
            for each in self.steps
        ]
        ends = {
            each.name: (each.end.name, self._path(each.end))
            for each in self.steps
            if each.end is not None
        }
        steps = [each.step() for each in self.steps]
        return Model(nodes, steps, self.image_shape, self.remarks), ends

    # --- steps ---------------------------------------------------------------------------------

    def _begin(self, node: fx.Node) -> View:
        """Return the image that ``node`` stands for."""
        height, width, channels = self.image_shape
        return View(DraftStep(INPUT, INPUT, (), (channels, height, width)), self._shape(node))

    def _append(
        self,
        node: fx.Node,
        draft: DraftStep,
        *,
        ends: bool = True,
    ) -> DraftStep:
        """Add a step that begins with ``node``, and perhaps ends with it."""
        draft.name, draft.end = self._new_name(node), node if ends else None
        self.steps.append(draft)
        self._made[draft] = node
        return draft

    def _new_name(self, node: fx.Node) -> str:
        """Return a name for what ``node`` gives: a pool may be used, and a module add, twice."""
        name = self._path(node)
        taken = {each.name for each in self.steps} | {each.pool_name for each in self.steps}
        while name in taken:
            name += "'"
        return name

    def _extend(self, step: DraftStep, node: fx.Node, stage: str) -> View:
        """Let ``node`` be what ``step`` ends with."""
        step.stage, step.end = stage, node
        self._changed.add(node)
        return View(step, self._shape(node))

    def _is_alone(self, read: fx.Node) -> bool:
        """Tell whether one node reads what ``read`` gives, and no other the step that it shows.

        A node may show what it reads as it is: a view, a pool of windows of one pixel, bounds that
        nothing is beyond.
        """
        while len(read.users) == 1 and read not in self._changed and self._inputs(read):
            (before, *_) = self._inputs(read)
            if self.views[before].step is not self.views[read].step:
                break
            read = before
        return len(read.users) == 1

    # --- what nodes show -----------------------------------------------------------------------

    def _view(self, node: fx.Node) -> View:
        """Return what a node of one operand reads, which is not padded."""
        (read, *_) = self._inputs(node)
        return self._unpadded(node, read)

    def _unpadded(self, node: fx.Node, read: fx.Node) -> View:
        view = self.views[read]
        if view.padding != NO_PADDING:
            self._refuse(node, "reads padding, which belongs to convolutions: give it to one")
        if view.parts:
            self._refuse(
                node, "reads what was concatenated: only a convolution or linear layer adds it up"
            )
        return view

    def _own(self, node: fx.Node, view: View, *, ends: bool = False) -> View:
        """Return what ``view`` shows as a step of its own, called after ``node``."""
        channels = view.step.channels
        op = cast(nn.Conv2d, nn.utils.skip_init(nn.Conv2d, channels, channels, 1, groups=channels))
        scaling = view.scaling or Scaling.none(channels)
        op.weight = nn.Parameter(scaling.slope.reshape(channels, 1, 1, 1).clone())
        op.bias = nn.Parameter(scaling.offset.clone())
        shape = as_image(view.step.shape)
        draft = DraftStep("", "block", (view.step,), shape, stage="sums", op=op)
        return View(self._append(node, draft, ends=ends), view.shape)

    def _settled(self, node: fx.Node, read: fx.Node) -> View:
        """Return what ``node`` reads of ``read``, all constants applied."""
        view = self._unpadded(node, read)
        if view.scaling is not None:
            view = self.views[read] = self._own(read, view, ends=True)
        return view

    def _image(self, node: fx.Node) -> View:
        """Return an image that a pool reads."""
        view = self._view(node)
        if not view.is_image or len(view.step.shape) != 3:
            self._refuse(node, "reads a tensor without the rows and columns of the layer before")
        return view
