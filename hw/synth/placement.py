"""Places the memories of an accelerator in those of a target, and tells how full these are."""

from dataclasses import dataclass

from ..errors import FitError
from ..network.network import Network
from ..program.layout import MAX_WORDS, Program
from .targets import Target

__all__ = ["MemoryUse", "check_memories", "fits", "memory_use", "single_port", "weight_room"]

ROW_BUFFER = "row buffer "
CHOICES = ((), ("activations",), ("weights",), ("activations", "weights"))


@dataclass(frozen=True)
class MemoryUse:
    """A memory, or several equal ones, on a target.

    Attributes
    ----------
    name : str
        ``weights``, ``activations``, ``row buffers``, ``parameters``, ``outputs``, or
        ``thresholds N`` of a stage of the search, one a chain.
    count, width, depth : int
        How many there are; bits of a word; words of each.
    kind : str
        ``bram`` or ``spram``: the resource that they take.
    blocks : int
        Memory blocks that all of them take, where they are not small enough for logic.
    filled : float
        Share of the blocks' bits that they use.
    certain : bool
        Whether they are too large for synthesis to make logic of them.
    """

    name: str
    count: int
    width: int
    depth: int
    kind: str
    blocks: int
    filled: float
    certain: bool


def single_port(program: Program, target: Target) -> tuple[str, ...]:
    """Return which memories go to RAM with a single port: as few as block RAM leaves necessary.

    Weights there must be loaded after every reset, so activations go first. Where nothing helps,
    nothing is moved, and `check_memories` says what is missing.
    """
    if not target.budget.get("spram"):
        return ()
    for choice in CHOICES:
        if _possible(program, choice) and not _missing(_use(program, target, choice), target):
            return choice
    return ()


def _possible(program: Program, choice: tuple[str, ...]) -> bool:
    """Tell whether segments are as wide as such RAM can write apart: 4 bits."""
    segment = program.segment * program.operands.activation.width
    whole = program.segment == program.geometry.lanes
    return "activations" not in choice or whole or segment % 4 == 0


def memory_use(program: Program, target: Target) -> list[MemoryUse]:
    """Return what every memory of ``program`` takes of ``target``, the largest first."""
    return _use(program, target, single_port(program, target))


def _use(
    program: Program, target: Target, choice: tuple[str, ...], weight_words: int | None = None
) -> list[MemoryUse]:
    """Return the use; with another number of weight words than the program has, where asked."""
    family = target.family
    bits = {"bram": max(width * depth for width, depth in family.bram_shapes), "spram": 16 << 14}
    shapes: dict[str, list[tuple[int, int]]] = {}
    for name, shape in program.memories.items():
        kind = "row buffers" if name.startswith(ROW_BUFFER) else name.partition(",")[0]
        if name == "weights" and weight_words is not None:
            shape = shape[0], weight_words
        shapes.setdefault(kind, []).append(shape)
    found = []
    for name, each in shapes.items():
        width, depth = each[0]
        kind = "spram" if name in choice else "bram"
        blocks_of = target.sprams if kind == "spram" else family.brams
        blocks = sum(blocks_of(*shape) for shape in each)
        filled = len(each) * width * depth / (blocks * bits[kind]) if blocks else 0.0
        # Yosys makes logic of what costs less than a block; that is below a quarter of one
        certain = width * depth >= bits["bram"] // 4
        found.append(MemoryUse(name, len(each), width, depth, kind, blocks, filled, certain))
    return sorted(found, key=lambda use: use.blocks, reverse=True)


def _missing(uses: list[MemoryUse], target: Target) -> bool:
    """Tell whether a resource runs out."""
    return any(
        sum(use.blocks for use in uses if use.kind == kind and use.certain) > target.budget[kind]
        for kind in {use.kind for use in uses}
    )


def fits(program: Program, target: Target) -> bool:
    """Tell whether all memories of ``program`` find a place on ``target``."""
    return not _missing(memory_use(program, target), target)


def weight_room(program: Program, target: Target) -> int:
    """Return the most words of weights for which there is a place beside the other memories.

    They are as wide as the program's. 0 where the other memories alone do not fit.
    """
    choices = [each for each in CHOICES if _possible(program, each)]
    if not target.budget.get("spram"):
        choices = choices[:1]

    def possible(words: int) -> bool:
        return not all(_missing(_use(program, target, each, words), target) for each in choices)

    low, high = 0, 1  # there is room for the first, and at the end none for the second
    while high <= MAX_WORDS and possible(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if possible(middle) else (low, middle)
    return min(low, MAX_WORDS)


def check_memories(program: Program, target: Target) -> None:
    """Refuse a program whose memories need more than ``target`` has.

    Raises
    ------
    FitError
        With the numbers, the largest memories and the layer with the largest tensors.
    """
    certain = [use for use in memory_use(program, target) if use.certain]
    if not _missing(certain, target):
        return
    needed, available = sum(use.blocks for use in certain), target.budget["bram"]
    largest = ", ".join(f"{use.name} {use.blocks}" for use in certain[:3])
    ways = ["fewer lanes"] if program.geometry.lanes > 1 else []
    ways += ["--contexts 1"] if program.contexts > 1 else []
    ways += ["--batch 1"] if program.batch > 1 else []
    weights = next(use for use in memory_use(program, target) if use.name == "weights")
    if weights.blocks > available:  # nothing else would help
        ways = ["a smaller network", "narrower weights"]
    spram = target.budget.get("spram")
    also = f", and {spram} single-port RAMs do not help" if spram else ""
    raise FitError(
        f"network {program.network.name} does not fit {target.name}: at {program.geometry} its "
        f"memories need at least {needed} of {available} block RAMs ({largest}){also}; "
        f"{_largest_layer(program.network)}; take {', '.join(ways) or 'narrower formats'} or a "
        "larger target"
    )


def _largest_layer(network: Network) -> str:
    """Describe the layer whose weights and output take most bits."""

    def bits(name: str) -> tuple[int, int]:
        layer = next(layer for layer in network if layer.name == name)
        return layer.weight_bits, network.sizes[name].elements * layer.output.width

    name = max((layer.name for layer in network), key=lambda name: sum(bits(name)))
    weights, levels = bits(name)
    return (
        f"layer {name} has the largest tensors, {weights:,} bits of weights and an output of "
        f"{network.sizes[name]}, {levels:,} bits"
    )
