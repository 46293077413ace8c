"""Turns the partial sums that leave the array into levels."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...gates.pipeline import delay
from ...numbers.arithmetic import address_width
from ...numbers.format import Format
from .float_requantize import FloatRequantizeConfig
from .requantize import RequantizeConfig
from .thresholds import Thresholds, ThresholdsConfig

__all__ = ["LevelUnit", "LevelUnitConfig"]

AHEAD = 2  # cycles that tags are ahead of their levels


@dataclass(frozen=True)
class LevelUnitConfig:
    """Parts and contents of a `LevelUnit`.

    Attributes
    ----------
    tag : StructLayout
        Layout of a `Tag`.
    chains : int
        Sums that come at once.
    requantize : RequantizeConfig or FloatRequantizeConfig
        Of the requantiser of each chain; its modes are those without thresholds.
    thresholds : ThresholdsConfig, optional
        Of the search of each chain, where a mode has thresholds.
    by_thresholds : sequence of bool
        Which modes have thresholds.
    rows : int
        Rows of parameters, or of thresholds, whichever are more.
    parameters : sequence of int
        Words of the parameter memory: the bias lowest, above it the multiplier, if there is one.
    """

    tag: data.StructLayout
    chains: int
    requantize: RequantizeConfig | FloatRequantizeConfig
    thresholds: ThresholdsConfig | None
    by_thresholds: Sequence[bool]
    rows: int
    parameters: Sequence[int]

    @property
    def late(self) -> int:
        """Cycles that requantisers begin later, where thresholds take longer."""
        least = self.thresholds.least_latency if self.thresholds else 0
        return max(0, least - self.requantize.latency)

    @property
    def latency(self) -> int:
        """Cycles from a sum to its levels."""
        return self.late + self.requantize.latency

    @property
    def levels(self) -> list[Format]:
        """Format of the levels of each mode."""
        scaled = iter([mode.output for mode in self.requantize.modes])
        counted = iter(self.thresholds.outputs if self.thresholds else ())
        return [next(counted if each else scaled) for each in self.by_thresholds]


class LevelUnit(wiring.Component):
    """Requantise the partial sums of every chain, or search their thresholds.

    Parameters are read a cycle before the sums that need them. A new sum each cycle;
    ``config.latency`` cycles from a sum to its levels, in every mode.

    Parameters
    ----------
    config : LevelUnitConfig

    Members
    -------
    i : In(ArrayLayout(config.requantize.sum, chains))
        The partial sums.
    tags : In(stream.Signature(Tag, always_ready=True))
        Their tag.
    i_row : In(row of their thresholds)
    parameters : In(stream.Signature(row of bias and multiplier, always_ready=True))
        Read what the sums of the next cycles need.
    ahead : Out(stream.Signature(Tag, always_ready=True))
        The tag of the levels that come two cycles later.
    o : Out(ArrayLayout(level, chains))
        Levels of each mode, in ``levels[k]``; members ``o_0``, ``o_1``.
    """

    i: data.View
    tags: stream.Interface
    i_row: Signal
    parameters: stream.Interface
    ahead: stream.Interface

    def __init__(self, config: LevelUnitConfig):
        self.config = config
        tags = stream.Signature(config.tag, always_ready=True)
        row = address_width(config.rows)
        super().__init__(
            {
                "i": In(data.ArrayLayout(config.requantize.sum, config.chains)),
                "tags": In(tags),
                "i_row": In(row),
                "parameters": In(stream.Signature(row, always_ready=True)),
                "ahead": Out(tags),
            }
            | {
                f"o_{k}": Out(data.ArrayLayout(fmt.level_shape, config.chains))
                for k, fmt in enumerate(config.levels)
            }
        )

    @property
    def levels(self) -> list[data.View]:
        """The outputs, one for each mode: a level a chain."""
        return [getattr(self, f"o_{k}") for k in range(len(self.config.levels))]

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        parameters = self._parameters(m)
        sums = delay(m, self.i, config.late, ones=True)
        before = config.latency - AHEAD
        m.d.comb += [
            self.ahead.valid.eq(delay(m, self.tags.valid, before, reset_less=False)),
            self.ahead.payload.eq(delay(m, self.tags.payload, before, ones=True)),
        ]
        for index in range(config.chains):
            m.submodules[f"requantize_{index}"] = requantize = config.requantize.component()
            m.d.comb += [
                requantize.i.eq(sums[index]),
                requantize.i_bias.eq(parameters.bias),
                requantize.i_multiplier.eq(parameters.multiplier),
            ]
            scaled, counted = iter(requantize.outputs), iter(())
            if config.thresholds:
                search = Thresholds(config.thresholds, latency=config.latency)
                m.submodules[f"thresholds_{index}"] = search
                m.d.comb += [search.i.eq(self.i[index]), search.i_row.eq(self.i_row)]
                counted = iter(search.levels)
            for by_thresholds, levels in zip(config.by_thresholds, self.levels, strict=True):
                m.d.comb += levels[index].eq(next(counted if by_thresholds else scaled))
        return m

    def _parameters(self, m: Module) -> data.View:
        """Return bias and multiplier of the sums that the requantisers take in this cycle."""
        layout, late = self.config.requantize.parameters, self.config.late
        image = self.config.parameters
        m.submodules.parameters = memory = Memory(shape=layout.size, depth=len(image), init=image)
        port = memory.read_port()
        m.d.comb += [
            port.addr.eq(delay(m, self.parameters.payload, late)),
            port.en.eq(delay(m, self.parameters.valid, late, reset_less=False)),
        ]
        return layout(port.data)
