"""What a proof is, and what the tops with properties are made of."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
from amaranth import hdl
from amaranth.hdl import (
    Cat,
    Elaboratable,
    Fragment,
    Module,
    ResetSignal,
    Signal,
    Value,
)

# Amaranth 0.5 has both, and does not say so
from amaranth.hdl._ast import AnyConst, AnySeq
from amaranth.lib import wiring

__all__ = [
    "METHODS",
    "Assert",
    "Assume",
    "Inside",
    "Proof",
    "Spec",
    "delayed",
    "edit",
    "free",
    "planted",
    "some",
]

# the stubs ask for a message
Assert: Any = hdl.Assert
Assume: Any = hdl.Assume

METHODS = {
    "window": "complete: any {depth} cycles of a pipeline",
    "any": "complete: {depth} cycles from any state",
    "prove": "complete: induction over {depth} cycles",
    "bmc": "bounded: {depth} cycles from reset",
}


@dataclass(frozen=True)
class Proof:
    """A claim about gates, and a fault in them for which it is false.

    Attributes
    ----------
    subject : str
        The component, and what of it.
    claim : str
        What holds.
    build : callable
        Returns the top level with properties. Also called with the fault in place.
    method : str
        A key of `METHODS`.
    depth : int
        Cycles; see `sby.check`.
    fault : callable
        Changes the gates through a `pytest.MonkeyPatch`, never the properties.
    broken : str
        What the fault is.
    quick : bool
        Part of the default run.
    reach : int
        Cycles from reset within which the fault shows, where the proof is by induction.
    """

    subject: str
    claim: str
    build: Callable[[], "Spec"]
    method: str
    depth: int
    fault: Callable[[pytest.MonkeyPatch], None]
    broken: str
    quick: bool = False
    reach: int = 12


class Spec(wiring.Component):
    """A top level with properties, without ports: all that is free is inside.

    A subclass says what is to hold in `properties`.

    Attributes
    ----------
    helped : bool
        Whether invariants are asserted, too. They are no part of the claim, so a fault must be
        found without them.
    """

    def __init__(self):
        super().__init__({})
        self.helped = True

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        self.properties(m)
        return m

    def properties(self, m: Module) -> None:
        """Add the component, assumptions and assertions to ``m``."""
        raise NotImplementedError

    def invariant(self, m: Module, *conditions: Value) -> None:
        """Assert what makes the claim inductive."""
        if self.helped:
            m.d.comb += [Assert(condition) for condition in conditions]

    def holds(self, m: Module, stream: Any, *kept: Value) -> None:
        """Assert that a stream that is valid stays so with its payload until it is taken.

        What is to be held can be given instead of the payload.
        """
        for held in self._held(m, stream, kept):
            m.d.comb += Assert(held)

    def well_behaved(self, m: Module, stream: Any) -> None:
        """Assume the same of a stream whose producer is not part of the proof."""
        for held in self._held(m, stream, ()):
            m.d.comb += Assume(held)

    def _held(self, m: Module, stream: Any, kept: Sequence[Value]) -> list[Value]:
        """Return what is true of a stream that held what it offered a cycle ago."""
        waited = Signal()
        m.d.sync += waited.eq(stream.valid & ~stream.ready)
        held = [stream.valid | ~waited]
        for value in kept or [Value.cast(stream.payload)]:
            before = Signal.like(value)
            m.d.sync += before.eq(value)
            held.append((value == before) | ~waited)
        return held


def free(shape: Any) -> Value:
    """Return a value that is anything in every cycle."""
    return AnySeq(shape)


def some(shape: Any) -> Value:
    """Return a value that is anything, and stays it."""
    return AnyConst(shape)


def delayed(m: Module, value: Value, cycles: int) -> Value:
    """Return ``value`` so many cycles later."""
    for _ in range(cycles):
        later = Signal.like(value)
        m.d.sync += later.eq(value)
        value = later
    return value


class Inside:
    """What is inside of a component: local variables of its methods, by their names in the source.

    Attributes
    ----------
    fragment : Fragment
        The component elaborated, to be a submodule.
    """

    def __init__(self, component: Elaboratable):
        self._component, self._locals = component, dict[int, dict[str, Any]]()
        before = sys.getprofile()
        sys.setprofile(self._watch)
        try:
            self.fragment = Fragment.get(component, None)
        finally:
            sys.setprofile(before)

    def _watch(self, frame: Any, event: str, _: Any) -> None:
        component = frame.f_locals.get("self")
        if event == "return" and isinstance(component, Elaboratable):
            self._locals.setdefault(id(component), {}).update(frame.f_locals)

    def __getitem__(self, name: str) -> Any:
        """Return a variable; ``part.name`` is one of the component that is called ``part``."""
        *parts, name = name.split(".")
        found = self._locals[id(self._component)]
        for part in parts:
            found = self._locals[id(found[part])]
        return found[name]

    def register(self, name: str) -> Signal:
        """Return a register by its own name, where no variable of a method holds it."""
        (found,) = {
            id(each): each
            for domain, statements in self.fragment.statements.items()
            if domain != "comb"
            for statement in statements
            for each in statement._lhs_signals()
            if each.name == name
        }.values()
        return found

    def state(self, machine: str, *names: str) -> Value:
        """Return whether a state machine is in one of the states; in a legal one without names."""
        fsm = self.fragment.generated[machine]
        codes = [fsm.encoding[name] for name in names] or range(len(fsm.encoding))
        return Cat(fsm.state == code for code in codes).any()


def edit(
    patch: pytest.MonkeyPatch, owner: type | ModuleType, method: str, old: str, new: str
) -> None:
    """Plant a fault: replace a piece, which occurs once, of the source of a component's method.

    Of a module it is a function.
    """
    source = textwrap.dedent(inspect.getsource(getattr(owner, method)))
    assert source.count(old) == 1, (
        f"{owner.__name__}.{method} has {old!r} {source.count(old)} times"
    )
    names: dict[str, Any] = {}
    code = compile(source.replace(old, new), f"{owner.__name__}, edited", "exec")
    module = owner if isinstance(owner, ModuleType) else sys.modules[owner.__module__]
    exec(code, vars(module), names)
    patch.setattr(owner, method, names[method])


def planted(
    subject: str,
    claim: str,
    build: Callable[[], Spec],
    how: tuple[str, int],
    fault: tuple[type, str, str, str],
    broken: str,
    **options: Any,
) -> Proof:
    """Return a proof, by a method and over so many cycles, whose fault is an `edit`."""
    owner, method, old, new = fault

    def plant(patch: pytest.MonkeyPatch) -> None:
        edit(patch, owner, method, old, new)

    return Proof(subject, claim, build, *how, plant, broken, **options)
