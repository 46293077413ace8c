"""A request for prices, checked before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from ...hw.errors import FormatError, NarrowgaugeError
from ...hw.numbers.formats import Bipolar, Fixed
from ...hw.synth.targets import Target
from ...hw.synth.targets import target as find_target
from ...model.data import load
from ...model.training.recipe import Recipe
from ...model.training.schedule import default_schedule
from ...model.training.train import untrained
from .costs import BLOCK_LUTS
from .elements import PricedFormat
from .families import Epochs, Member, find_family

__all__ = ["PriceRequest"]


@dataclass(frozen=True, kw_only=True)
class PriceRequest:
    """What is asked for.

    Attributes
    ----------
    dataset : str
        What `model.data.load` takes.
    target_accuracy : float
        In per cent.
    families, formats : tuple of str
        Names in `families.FAMILIES`; formats as `elements.PricedFormat` takes them.
    target : str
        Device.
    seeds, placements : int
        Trainings of each network, and placements of each element and accelerator.
    epochs : int or None
        Of float trainings; the others have as many more or less as in the kept schedules. None
        takes those.
    block_luts : float or None
        LUTs that a DSP block counts as; None takes what one saves.
    route : bool
        Whether the accelerators of the chosen networks are placed and routed.

    Raises
    ------
    NarrowgaugeError
        For what cannot be, with what is allowed.
    """

    dataset: str
    target_accuracy: float
    families: tuple[str, ...]
    formats: tuple[str, ...]
    target: str
    seeds: int = 1
    placements: int = 1
    epochs: int | None = None
    block_luts: float | None = None
    route: bool = True
    priced: Mapping[str, PricedFormat] = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.target_accuracy < 100:
            raise NarrowgaugeError(
                f"a target accuracy is above 0 and below 100 per cent, not {self.target_accuracy:g}"
            )
        if not self.families or not self.formats:
            what = "family" if not self.families else "format"
            raise NarrowgaugeError(f"no {what} is given; give at least one")
        if self.block_luts is not None and self.block_luts < 0:
            raise NarrowgaugeError(f"a DSP block counts as 0 LUTs or more, not {self.block_luts:g}")
        dataset = load(self.dataset)
        dataset.check_trainable()
        for name in self.families:
            family = find_family(name)
            shape = family.shape(family.sizes[0])
            untrained(Recipe(dataset=self.dataset, network=family.network, **shape), dataset)
        priced = {}
        for text in self.formats:
            try:
                priced[text] = PricedFormat.of(text)
            except FormatError as error:
                raise FormatError(f"--formats {text}: {error}") from error
        object.__setattr__(self, "priced", priced)
        if not self.device.family.router or self.device.family.name not in BLOCK_LUTS:
            raise NarrowgaugeError(
                f"{self.target} has no prices here; take a target of {' or '.join(BLOCK_LUTS)}, "
                "which are placed and routed"
            )

    @property
    def share(self) -> float:
        """The target, as a share of images."""
        return self.target_accuracy / 100

    @property
    def device(self) -> Target:
        """The target; raises `ToolError` for an unknown one."""
        return find_target(self.target)

    @property
    def block(self) -> float:
        """LUTs that a DSP block counts as."""
        own = BLOCK_LUTS[self.device.family.name]
        return own if self.block_luts is None else self.block_luts

    def member(self, family: str, size: float, seed: int) -> Member:
        """Return a network to train."""
        pixel = load(self.dataset).input.width
        return Member(self.dataset, family, size, seed, self._epochs(family), pixel)

    def _epochs(self, family: str) -> Epochs:
        """Return the passes of its trainings, in the proportions of the kept schedules."""
        network = find_family(family).network
        kept = [
            default_schedule(network, self.dataset, fmt).epochs
            for fmt in (None, Bipolar(), Fixed(8))
        ]
        asked = self.epochs or kept[0]
        return Epochs(asked, *(max(1, ceil(each * asked / kept[0])) for each in kept[1:]))
