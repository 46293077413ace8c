"""An accelerator behind a serial line: everything of a board but its pins and its clock."""

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...hw.accelerator.top import Accelerator
from ...hw.errors import GeometryError
from ..protocol.frame import MAX_PAYLOAD
from ..protocol.info import Info
from .buffer import FrameBuffer, buffer_depth
from .controller import Controller
from .core import Core
from .receiver import FrameReceiver
from .results import answer_bytes, image_bytes
from .transmitter import FrameTransmitter
from .uart import UartReceiver, UartTransmitter, divisor_for

__all__ = ["BAUD", "SILENCE", "Device"]

BAUD = 1_000_000
"""Bits a second, unless told otherwise: USB converters of all boards have it."""
SILENCE = 0.02
"""Seconds without a byte that end a frame: USB delivers the bytes of one write within a few ms."""
MOST_IN_FLIGHT = 16


class Device(wiring.Component):
    """A network on a serial line, for frames as `protocol.frame` describes them.

    ::

        rx -> UartReceiver -> FrameReceiver -> FrameBuffer -> Core (accelerator)
                                    |                           |
                                    '------> Controller <-------'
        tx <- UartTransmitter <- FrameTransmitter <-'

    Images whose check is right go to the accelerator, and answers come back in the same order.
    Several images may be on their way at once; `Info.window` says how many there is room for. All
    state that a damaged frame can leave behind ends with the next silence of the line.

    Parameters
    ----------
    accelerator : Accelerator
        What computes. Where its weights come over a stream, they are loaded over the line.
    clock_frequency : float
        Of the clock of ``sync``, in Hz.
    baud : float
        Bits a second.
    silence : float
        Seconds without a byte that end a frame, at least.

    Attributes
    ----------
    divisor : int
        Cycles of a bit.
    info : Info
        What it says of itself.

    Members
    -------
    rx : In(1)
    tx : Out(1)

    Raises
    ------
    GeometryError
        Where the baud cannot be made of the clock, and for a network whose output is too large for
        an answer.
    """

    rx: Signal
    tx: Signal

    def __init__(
        self,
        accelerator: Accelerator,
        *,
        clock_frequency: float,
        baud: float = BAUD,
        silence: float = SILENCE,
    ):
        self.accelerator = accelerator
        self.clock_frequency, self.baud = clock_frequency, baud
        self.divisor = divisor_for(clock_frequency, baud)
        # a frame ends after a silence of two bytes at the earliest
        self.silence = max(round(silence * clock_frequency), 20 * self.divisor)
        program = accelerator.program
        size = answer_bytes(program, levels=True)
        if max(size, program.network.outputs) > MAX_PAYLOAD:
            raise GeometryError(
                f"network {program.network.name} gives {program.network.outputs} levels in {size} "
                f"bytes, and an answer has at most {MAX_PAYLOAD}: end it with fewer positions"
            )
        self.buffer_entry = 2 + image_bytes(program)
        held = program.contexts + (buffer_depth(self.buffer_entry) - 1) // self.buffer_entry
        self.info = Info.of(
            program,
            loads_weights=accelerator.loads_weights,
            window=min(held, MOST_IN_FLIGHT),
            clock_frequency=clock_frequency,
        )
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        program = self.accelerator.program
        m.submodules.uart_receiver = uart_receiver = UartReceiver(self.divisor)
        m.submodules.uart_transmitter = uart_transmitter = UartTransmitter(self.divisor)
        m.submodules.receiver = receiver = FrameReceiver(image_bytes(program), silence=self.silence)
        m.submodules.buffer = buffer = FrameBuffer(self.buffer_entry)
        m.submodules.controller = controller = Controller(
            self.info.to_bytes(),
            (answer_bytes(program, levels=True), answer_bytes(program, levels=False)),
            loads_weights=self.accelerator.loads_weights,
        )
        m.submodules.transmitter = transmitter = FrameTransmitter(controller.limit)
        core = Core(self.accelerator)
        m.submodules.core = ResetInserter(controller.o_reset)(core)

        wiring.connect(m, uart_receiver.o, receiver.i)
        wiring.connect(m, buffer.o, core.i)
        wiring.connect(m, core.o, controller.i)
        wiring.connect(m, controller.o, transmitter.i)
        wiring.connect(m, transmitter.o, uart_transmitter.i)
        m.d.comb += [
            uart_receiver.rx.eq(self.rx),
            self.tx.eq(uart_transmitter.tx),
            buffer.i_begin.eq(receiver.o_begin),
            buffer.i_store.eq(receiver.o_store),
            buffer.i_byte.eq(receiver.i.payload),
            buffer.i_commit.eq(controller.o_commit),
            buffer.i_forget.eq(controller.o_reset),
            core.i_more.eq(buffer.o_more),
        ]
        m.d.comb += [
            controller.i_done.eq(receiver.o_done),
            controller.i_damaged.eq(receiver.o_damaged),
            controller.i_type.eq(receiver.o_type),
            controller.i_sequence.eq(receiver.o_sequence),
            controller.i_empty.eq(receiver.o_empty),
            controller.i_full.eq(receiver.o_full),
            controller.i_overrun.eq(buffer.o_overrun),
            controller.i_ready.eq(core.o_ready),
            controller.i_busy.eq(core.o_busy),
            controller.i_working.eq(core.o_working),
            controller.i_answer.eq(core.o_answer),
            controller.tag.eq(core.tag),
            core.i_take.eq(controller.o_take),
        ]
        m.d.comb += [
            transmitter.i_start.eq(controller.o_start),
            transmitter.i_type.eq(controller.o_type),
            transmitter.i_sequence.eq(controller.o_sequence),
            transmitter.i_length.eq(controller.o_length),
            controller.i_left.eq(transmitter.o_left),
            controller.i_idle.eq(transmitter.o_idle),
        ]
        return m
