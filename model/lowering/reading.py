"""Reading of all calls of a traced module, and what they may not do, before any becomes a step.

Nothing here needs the shapes of tensors: a module with what is not supported may not even run.
"""

import re
from functools import partial
from typing import NoReturn

from torch import fx

from ...hw.errors import NetworkError
from .calls import TracedCall, is_in_place, read
from .supported import MODULES, SUPPORTED, VIEWS, nearest_to
from .tracing import TracedModule

__all__ = ["ReadCalls"]


class ReadCalls:
    """The calls of a traced module, each read and supported.

    Parameters
    ----------
    traced : TracedModule
        What it computes.

    Raises
    ------
    NetworkError
        For a call that is not supported, or not as it is used.
    """

    def __init__(self, traced: TracedModule):
        self.traced = traced
        self._operations: dict[fx.Node, TracedCall] = {}
        self._read()
        self._check_memory()
        self._check_ending()

    def _read(self) -> None:
        """Read all calls; refuse those that are not supported."""
        once: set[str] = set()
        inputs = [node for node in self.traced.nodes if node.op == "placeholder"]
        for node in inputs[1:]:
            self._refuse(node, "is a second input")
        for node in self.traced.nodes:
            if node.op == "get_attr":
                self._check_attribute(node)
            if node.op in ("placeholder", "output") or not self.traced.varies(node):
                continue
            if node in self.traced.untrained:
                self._refuse(
                    node,
                    "runs without gradients (no_grad), but training moves all layers: leave it out",
                )
            target = self.traced.module(node) or node.target
            operation = read(node, target, partial(self._refuse, node))
            if operation is None:
                if any(self.traced.result(each) is None for each in self._inputs(node)):
                    return  # what it reads did not run, which is said instead
                self._refuse(node)
            if len(operation.operands) == 1 and operation.operands[0] not in self._inputs(node):
                self._refuse(node, "does not read one tensor alone")
            self._operations[node] = operation
            if operation.kind in ("weights", "norm"):
                if str(node.target) in once:
                    self._refuse(node, "is used twice")
                once.add(str(node.target))

    def _check_attribute(self, node: fx.Node) -> None:
        """Refuse a layer's parameter that forward reads itself: training would move only one."""
        owner = self.traced.modules.get(str(node.target).rpartition(".")[0])
        if owner is not None and type(owner) in MODULES:
            self._refuse(node, "is read by forward itself, not through its layer")

    def _check_memory(self) -> None:
        """Refuse a change in place of a tensor that is read later as it was, and unread ones."""
        memory: dict[fx.Node, fx.Node] = {}  # which node's tensor a node gives
        changed: dict[fx.Node, fx.Node] = {}  # by which node
        for node in self.traced.nodes:
            for each in node.all_input_nodes:
                if each in changed:
                    self._refuse(changed[each], "changes in place what others read later")
            memory[node] = node
            if node in self._operations:
                in_place = is_in_place(node, self.traced.module(node) or node.target)
                if in_place or self._operations[node].kind in VIEWS:
                    memory[node] = memory[self._inputs(node)[0]]
                if in_place:
                    same = [each for each in memory if memory[each] is memory[node]]
                    changed |= {each: node for each in same if each is not node}
        for node in self._operations:
            if not node.users:
                self._refuse(node, "gives a tensor that nothing reads")

    def _check_ending(self) -> None:
        """Refuse a softmax that others than the output read."""
        end = self.traced.nodes[-1].args[0]
        while isinstance(end, fx.Node) and self._kind(end) in VIEWS:
            (end, *_) = self._inputs(end)
        for node, operation in self._operations.items():
            if operation.kind == "softmax" and node is not end:
                self._refuse(node, "is not the last call, and only a last one can be left out")

    # --- nodes ---------------------------------------------------------------------------------

    def _kind(self, node: fx.Node) -> str:
        operation = self._operations.get(node)
        return "" if operation is None else operation.kind

    def _inputs(self, node: fx.Node) -> list[fx.Node]:
        return self.traced.sources(node)

    def _shape(self, node: fx.Node) -> tuple[int, ...]:
        """Return the shape that an image has there."""
        return self.traced.shape(node)[1:] or (1,)

    def _path(self, node: fx.Node) -> str:
        """Return the path of a node's module, or that of the module that calls a function."""
        if node.op in ("call_module", "get_attr"):
            return str(node.target)
        scopes = [scope for scope in node.meta.get("nn_module_stack", ()) if scope]
        return ".".join([*scopes[-1:], re.sub(r"_\d+$", "", node.name).strip("_")])

    def _refuse(self, node: fx.Node, reason: str = "") -> NoReturn:
        kind = str(getattr(node.target, "__name__", node.target))
        layer = self.traced.module(node)
        if layer is not None:
            kind = type(layer).__name__
        if node.op == "get_attr":
            kind = "parameter or buffer"
        if not reason:
            nearest = nearest_to(kind)
            reason = f"is not supported: {nearest}" if nearest else "is not supported"
        raise NetworkError(f"{self._path(node)} ({kind}) {reason}; {SUPPORTED}")

    def _varies(self, operand: object) -> bool:
        return isinstance(operand, fx.Node) and self.traced.varies(operand)
