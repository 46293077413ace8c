"""The chain of proof at a board's pins: one netlist after the other classifies the same images.

Many boards are simulated side by side, and each gets some of the images. Each link is an equality.
The simulated top level gets images over its UART, as a host would send them; every level and every
class that it answers is compared with what is expected, and the cycles in which its pin ``tx``
changes with those of the link before.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...hw.errors import MismatchError, ToolError
from ...hw.sim.batch.native import widest
from ...hw.sim.compiler import find_compiler
from ..build.bitstream import Bitstream
from ..catalogue.entries import Board
from ..gateware.board_top import RESET_CYCLES
from ..gateware.results import answer_bytes, label_bytes, level_bytes
from ..protocol.frame import ANSWER, OVERHEAD, Decoder, Frame, Type, packed
from ..protocol.info import Info
from .netlist_run import PinSimulation
from .recovery import find_icebox, recover
from .routed import plain

__all__ = ["STAGES", "ProofLink", "Stage", "check_tools", "check_weights", "verify"]

_LOCKED = 16  # cycles from the start of the PLL to the first of the reset, at most


@dataclass(frozen=True)
class ProofLink:
    """One link of the chain, and whether it holds.

    Attributes
    ----------
    name : str
        The two things that are equal.
    checked : str
        What was compared.
    images, levels : int
        How many images went through, and how many of their levels were compared.
    mismatches : int
        Images of which a level or the class differs.
    first : str
        The first difference; empty where there is none.
    cycles : int
        Cycles that were simulated.
    same_cycles : bool or None
        Whether the pin ``tx`` changed in the same cycles as in the link before; None for the first
        at the pins.
    seconds : float
        For building the simulation, and running it.
    """

    name: str
    checked: str
    images: int
    levels: int
    mismatches: int
    first: str
    cycles: int
    same_cycles: bool | None
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything that was compared is equal."""
        return not self.mismatches and not self.first and self.same_cycles is not False

    def row(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self) | {"holds": self.holds}


@dataclass(frozen=True)
class Stage:
    """A netlist of the top level.

    Attributes
    ----------
    name : str
        What it is.
    form : str
        One of `lowering.FORMS`.
    text : callable
        Returns it.
    """

    name: str
    form: str
    text: Callable[[Bitstream], str]


_RTL = Stage("RTL of the top level", "rtlil", lambda built: built.rtlil)
_MAPPED = Stage("mapped netlist", "json", lambda built: built.netlist.text)
STAGES = {
    "ice40": (
        _RTL,
        _MAPPED,
        Stage(
            "netlist recovered from the bitstream",
            "verilog",
            lambda built: recover(built.content, built.board),
        ),
    ),
    "ecp5": (_RTL, _MAPPED, Stage("routed netlist", "json", lambda built: plain(built.routed))),
    "gowin": (_RTL, _MAPPED),
}
"""The netlists of each family, in the order in which tools make them."""


def check_tools(board: Board) -> None:
    """See that the netlists of a board's bitstreams can be had and simulated.

    Raises
    ------
    ToolError
        For a family whose netlists are not simulated; where a tool is missing, with what to do.
    """
    family = board.target.family.name
    if family not in STAGES:
        raise ToolError(
            f"{board.name}: netlists of {family} are not simulated; those of "
            f"{' and '.join(STAGES)} are"
        )
    find_compiler()
    if family == "ice40":
        find_icebox()


def check_weights(built: Bitstream) -> None:
    """See that a bitstream holds its weights.

    Raises
    ------
    ToolError
        Where they are loaded at run time.
    """
    if built.device.accelerator.loads_weights:
        raise ToolError(
            f"{built.board.name}: weights that are loaded at run time are no part of the "
            "bitstream; take a network or an array with which the weights fit into block RAM"
        )


def verify(
    built: Bitstream, images: np.ndarray, levels: np.ndarray, labels: np.ndarray
) -> Iterator[ProofLink]:
    """Yield a link for every netlist of a bitstream, in order.

    Parameters
    ----------
    built : Bitstream
    images : int array of shape (images, ...)
        Input levels.
    levels : int array of shape (images, outputs)
        What the last layer gives.
    labels : int array of shape (images,), or (images, outputs of the network)
        Their classes.

    Raises
    ------
    ToolError
        Where a tool is missing; for a family that is not simulated, or weights that are loaded.
    """
    check_tools(built.board)
    check_weights(built)
    last: _Run | None = None
    before = "reference"
    for stage in STAGES[built.board.target.family.name]:
        started = time.perf_counter()
        run = _run(built, stage, images)
        mismatches, first = _differs(run, built, levels, labels)
        same = None if last is None else (run.cycles, run.digest) == (last.cycles, last.digest)
        yield ProofLink(
            name=f"{before} = {stage.name}",
            checked="levels and classes over the UART"
            + ("" if last is None else ", and the pin tx in every cycle"),
            images=len(images),
            levels=int(levels.size),
            mismatches=mismatches,
            first=run.failure or first,
            cycles=run.cycles,
            same_cycles=same,
            seconds=round(time.perf_counter() - started, 2),
        )
        last, before = run, stage.name


@dataclass
class _Run:
    """Answers of one netlist: those to each image, None for one that did not come.

    An image that was sent to several boards, or twice, has as many answers; none where nothing came
    any more.
    """

    answers: list[list[bytes | None]]
    failure: str = ""
    cycles: int = 0
    digest: int = 0


def _run(built: Bitstream, stage: Stage, images: np.ndarray) -> _Run:
    """Send all images, to boards side by side; to each as many at once as it has room for."""
    device = built.device
    program, window = device.accelerator.program, device.info.window
    network = program.network
    codes = network.input.to_code(np.asarray(images).reshape(len(images), -1))
    payloads = [packed(each, network.input.width) for each in codes]
    each = max(min(len(images), window), -(-len(images) // widest()))
    boards = -(-len(images) // each)
    run = _Run([[] for _ in images])
    family = built.board.target.family.name
    simulation = PinSimulation(
        stage.text(built), stage.form, family, divisor=device.divisor, boards=boards
    )
    with simulation:
        try:
            simulation.wait(RESET_CYCLES + _LOCKED)
            _introduce(simulation, device.info)
            computing = int(8 * program.cycles.per_image)  # an image, and as long to wait for
            for start in range(0, each, window):
                places = range(start, min(start + window, each))
                # the last boards have fewer images, and get their first ones again
                chosen = [
                    [(board + place * boards) % len(images) for place in places]
                    for board in range(boards)
                ]
                frames = [_frames(start, [payloads[at] for at in mine]) for mine in chosen]
                length = answer_bytes(program, levels=True)
                found = _exchange(simulation, frames, length, computing)
                for mine, answers in zip(chosen, found, strict=True):
                    for at, answer in zip(mine, answers, strict=True):
                        run.answers[at].append(answer)
        except MismatchError as error:
            run.failure = str(error)
        run.cycles, run.digest = simulation.cycles, simulation.digest
    return run


def _frames(start: int, payloads: list[bytes]) -> list[Frame]:
    return [
        Frame(Type.RUN, (start + index) % 256, payload) for index, payload in enumerate(payloads)
    ]


def _introduce(simulation: PinSimulation, info: Info) -> None:
    """Ask the devices what they are; raises `MismatchError` where one is another."""
    frames = [[Frame(Type.INFO, 0)]] * simulation.boards
    for found in _exchange(simulation, frames, len(info.to_bytes())):
        if found != [info.to_bytes()]:
            raise MismatchError("the device says that it is another than was built")


def _exchange(
    simulation: PinSimulation, frames: list[list[Frame]], length: int, computing: int = 0
) -> list[list[bytes | None]]:
    """Send each board frames; return the payloads of its answers, None where none came.

    ``computing`` cycles are more than the answer to one takes.
    """
    sent = [b"".join(frame.to_bytes() for frame in mine) for mine in frames]
    wanted = len(frames[0]) * (length + OVERHEAD)
    limit = 100_000 + 20 * simulation.divisor * len(sent[0]) + computing * len(frames[0])
    found = []
    for mine, octets in zip(frames, simulation.exchange(sent, wanted, limit=limit), strict=True):
        received = {(each.type, each.sequence): each.payload for each in Decoder().feed(octets)}
        found.append([received.get((each.type | ANSWER, each.sequence)) for each in mine])
    return found


def _differs(
    run: _Run, built: Bitstream, levels: np.ndarray, labels: np.ndarray
) -> tuple[int, str]:
    """Return how many images differ, and the first difference in words."""
    network = built.device.accelerator.program.network
    octets, of_label = level_bytes(network.output.width), label_bytes(network.classes)
    codes = network.output.to_code(levels)
    mismatches, first = 0, ""
    for index, (answers, row) in enumerate(zip(run.answers, codes, strict=True)):
        wanted = b""
        for end, label in zip(network.ends, labels.reshape(len(codes), -1)[index], strict=True):
            wanted += b"".join(int(code).to_bytes(octets, "little") for code in row[end.levels])
            wanted += int(label).to_bytes(of_label, "little") if end.classes else b""
        wrong = [answer for answer in answers or [None] if answer != wanted]
        if wrong:
            mismatches += 1
            said = "no answer" if wrong[0] is None else wrong[0].hex()
            first = first or f"image {index}: {said} instead of {wanted.hex()}"
    return mismatches, first
