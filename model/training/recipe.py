"""Recipes: everything that decides what a training gives."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from ...hw.errors import FormatError, NetworkError
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format, default_activation, parse
from ..data import Dataset, input_scale, is_file
from ..data.arrays import arrays_digest
from ..layers.blocks import Formats
from ..layers.norm_limited import Constraint
from ..layers.quantize import SCALES, check_activation, check_pair, check_weight
from ..layers.widths import Channels, check_widths, named_widths
from ..lowering.topologies import NETWORKS
from .schedule import Schedule, default_schedule

__all__ = ["CHANNELS_FILE", "Recipe", "default_activation", "layer_formats", "parse_formats"]

ROUNDINGS = ("nearest", "stochastic")
ENDS = ("constrained", "free")
MAX_WIDTH = 1 << 16  # of a hidden layer, before there is no memory for its weights
SCHEDULE = tuple(field.name for field in fields(Schedule))


def parse_formats(text: str, otherwise: Formats) -> Formats:
    """Return the formats that ``WEIGHT/ACTIVATION`` names; either half may be left out.

    Raises
    ------
    FormatError
        For a format that does not exist, or cannot be used in its place.
    """
    weight, _, activation = text.partition("/")
    if not (weight or activation):
        raise FormatError(f"{text!r} names no format; WEIGHT/ACTIVATION names one or two")
    return Formats(
        check_weight(parse(weight)) if weight else otherwise.weight,
        check_activation(parse(activation)) if activation else otherwise.activation,
    )


def layer_formats(
    common: Formats,
    names: Sequence[str],
    weighted: Mapping[str, int],
    *,
    first: str | None = None,
    last: str | None = None,
    layers: Sequence[tuple[str, str]] = (),
    channels: Channels = (),
) -> dict[str, Formats]:
    """Return the formats of every step.

    Parameters
    ----------
    common : Formats
        Those of steps that have none of their own.
    names : sequence of str
        All steps.
    weighted : mapping
        Those with weights, in order, and how many output channels they have.
    first, last, layers, channels
        As in `Recipe`.

    Raises
    ------
    FormatError
        For widths that the channels of a layer cannot have.
    NetworkError
        For a layer that does not exist, or widths of one without weights.
    """
    found, (start, *_, end) = dict.fromkeys(names, common), [*weighted, *weighted]
    for name, text in [(start, first), (end, last), *layers]:
        if name not in found:
            raise NetworkError(f"no layer {name!r}; there is {', '.join(names)}")
        if text is not None:
            found[name] = parse_formats(text, common)
    for name, widths in named_widths(channels):
        if name not in weighted:
            what = "has no weights" if name in found else "does not exist"
            raise NetworkError(
                f"widths of channels are given for {name!r}, which {what}; there is "
                f"{', '.join(weighted)}"
            )
        try:
            own = check_widths(found[name].weight, widths, weighted[name])
        except FormatError as error:
            raise FormatError(f"layer {name}: {error}") from error
        found[name] = found[name]._replace(widths=own)
    _check_floats(found, list(weighted))
    return found


def _check_floats(formats: Mapping[str, Formats], weighted: Sequence[str]) -> None:
    """Refuse layers that an array of floats cannot run together."""
    activations = {each.activation for each in formats.values()}
    for name in weighted:
        try:
            check_pair(formats[name].weight, formats[name].activation)
        except FormatError as error:
            raise FormatError(f"layer {name}: {error}") from error
    if len(activations) > 1 and any(isinstance(each, Float) for each in activations):
        raise FormatError(
            "float activations are of one format in all layers, not "
            f"{' and '.join(sorted(map(str, activations)))}"
        )
    weights = {formats[name].weight for name in weighted}
    if len(weights) > 1 and any(isinstance(each, Float) for each in activations):
        raise FormatError(
            "weights of float activations are of one format in all layers, not "
            f"{' and '.join(sorted(map(str, weights)))}"
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training gives.

    Formats are named as in `hw.numbers.formats.parse`.

    Parameters
    ----------
    dataset : str
        What `data.load` takes.
    network : str
        Name in `lowering.topologies.NETWORKS`.
    widths : tuple of int
        Widths of the hidden layers of ``mlp``.
    width : float
        Width multiplier.
    weight : str, optional
        Weight format; None trains in float.
    activation : str, optional
        Format of hidden activations; None takes `default_activation`.
    first, last : str, optional
        ``WEIGHT/ACTIVATION`` of the first and the last layer with weights, either half optional.
    layers : sequence of pairs
        Layer names and their ``WEIGHT/ACTIVATION``; they win over ``first`` and ``last``.
    channels : mapping
        Layer names and a list each: the bits of the weights of every output channel, from 2 up to
        those of the layer's integer format.
    input : str, optional
        Format of the pixels; None takes the data set's own.
    epochs, batch, rate, decay, smoothing, crop, flip, distill
        As in `schedule.Schedule`; None takes the kept default.
    scale : str
        ``learned`` or ``statistics``: where weight scales come from.
    rounding : str
        ``nearest`` or ``stochastic``, in training; evaluation is always nearest.
    multiplier_bits : int, optional
        Width that requantisation multipliers may have: the norms' slopes are rounded to it when
        training ends (`layers.norm.round_norms`). None leaves them, and the fold takes what it
        needs.
    accumulator_bits, constrain : int and str, optional
        Train weights so that sums fit an accumulator of so many bits, by ``a2q`` or ``a2q+``; see
        `layers.norm_limited`. They go together.
    ends : str
        ``constrained``, or ``free``: the first and the last layer with weights are left out of it.
    seed : int
        Seed of initial weights, order of images and stochastic rounding.

    Raises
    ------
    FormatError
        For a format, scale, rounding or constraint that does not exist or cannot be used in its
        place.
    NetworkError
        For an unknown network, for widths, epochs or a batch that are not positive, a rate or
        another number of the schedule beyond its range, or multipliers beyond 1 to 24 bits.
    """

    dataset: str = "digits"
    widths: tuple[int, ...] = (64, 32)
    weight: str | None = None
    activation: str | None = None
    input: str | None = None
    network: str = "mlp"
    width: float = 1.0
    first: str | None = None
    last: str | None = None
    layers: Sequence[tuple[str, str]] = ()
    channels: Channels = ()
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    decay: float | None = None
    smoothing: float | None = None
    crop: int | None = None
    flip: bool | None = None
    distill: float | None = None
    scale: str = "learned"
    rounding: str = "nearest"
    multiplier_bits: int | None = 10
    accumulator_bits: int | None = None
    constrain: str | None = None
    ends: str = "constrained"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "layers", tuple((name, text) for name, text in self.layers))
        object.__setattr__(self, "channels", named_widths(self.channels))
        if self.network not in NETWORKS:
            raise NetworkError(f"unknown network {self.network!r}; there is {', '.join(NETWORKS)}")
        if not -(1 << 63) <= self.seed < 1 << 63:
            raise NetworkError(f"a seed is an integer of 64 bits, not {self.seed}")
        schedule = self.schedule
        schedule.check()
        if min((schedule.epochs, schedule.batch, *self.widths)) < 1:
            raise NetworkError(
                f"widths, epochs and batch are positive; got widths {self.widths}, "
                f"epochs {self.epochs}, batch {self.batch}"
            )
        if max(self.widths, default=1) > MAX_WIDTH:
            raise NetworkError(f"widths are at most {MAX_WIDTH}, not {max(self.widths)}")
        if self.multiplier_bits is not None and not 1 <= self.multiplier_bits <= 24:
            raise NetworkError(f"multipliers have 1 to 24 bits, not {self.multiplier_bits}")
        if self.scale not in SCALES or self.rounding not in ROUNDINGS:
            raise FormatError(
                f"scale is {' or '.join(SCALES)} and rounding {' or '.join(ROUNDINGS)}, "
                f"not {self.scale!r} and {self.rounding!r}"
            )
        self._check_constraint()
        if self.input is not None:
            self._check_input(parse(self.input))
        if self.weight_format is not None:
            derived = None if self.activation is not None else self.weight_format
            common = Formats(
                check_weight(self.weight_format), check_activation(self.activation_format, derived)
            )
            check_pair(*common[:2])
            self._check_idle(*common[:2])
            for text in (self.first, self.last, *(text for _, text in self.layers)):
                if text is not None:
                    parse_formats(text, common)

    def _check_idle(self, weight: Format, activation: Format) -> None:
        """Refuse what would do nothing: floats are rounded to nearest, and their norms are kept."""
        idle = ["rounding", "multiplier_bits"] if isinstance(activation, Float) else []
        idle += ["scale"] if isinstance(weight, Float) else []
        for name in idle:
            usual = _PLAIN[name]
            if getattr(self, name) not in (usual, None):
                raise FormatError(
                    f"{name} {getattr(self, name)} is for levels that are scaled, and {weight} "
                    f"weights with {activation} activations have no such: leave it out"
                )

    def _check_input(self, fmt: Format) -> None:
        """Refuse a format that pixels cannot have; float networks read them as activations."""
        input_scale(fmt)
        wanted = None if self.is_float else self.activation_format
        if isinstance(wanted, Float) or isinstance(fmt, Float):
            if fmt != wanted:
                raise FormatError(
                    f"pixels of a network with {wanted or 'no'} activations are "
                    f"{wanted if isinstance(wanted, Float) else 'bipolar, intN or uintN'}, "
                    f"not {fmt}: leave out the input"
                )
        elif not isinstance(fmt, Bipolar | Fixed):
            raise FormatError(f"the format of pixels is bipolar, intN or uintN, not {fmt}")

    def _check_constraint(self) -> None:
        """Refuse half of a constraint, and one of float weights."""
        if self.ends not in ENDS:
            raise FormatError(f"ends are {' or '.join(ENDS)}, not {self.ends!r}")
        if (self.accumulator_bits is None) != (self.constrain is None):
            given = "constrain" if self.accumulator_bits is None else "accumulator_bits"
            raise FormatError(
                "a training for an accumulator has accumulator_bits, and constrain says how: give "
                f"both, such as 12 and a2q+, or neither; there is only {given}"
            )
        if self.constraint is None:
            if self.ends == "free":
                raise FormatError("ends are free of a constraint; give constrain, too")
            return
        self.constraint.check()
        if self.is_float or isinstance(self.activation_format, Float):
            raise FormatError("floats have no accumulator of integers to be constrained for")

    @property
    def constraint(self) -> Constraint | None:
        """What weights are trained to keep to, if anything."""
        if self.constrain is None or self.accumulator_bits is None:
            return None
        return Constraint(self.constrain, self.accumulator_bits)

    def constrained(self, weighted: Sequence[str]) -> tuple[str, ...]:
        """Return which layers keep to the constraint, given those with weights, in order.

        Raises
        ------
        NetworkError
            Where a constraint that leaves the ends free is of no layer.
        """
        if self.constraint is None:
            return ()
        if self.ends == "constrained":
            return tuple(weighted)
        if len(weighted) < 3:
            raise NetworkError(
                f"of {len(weighted)} layers with weights, {', '.join(weighted)}, none lies between "
                "the ends, and these are free: constrain the ends as well"
            )
        return tuple(weighted[1:-1])

    @property
    def weight_format(self) -> Format | None:
        """Format of the weights, or None for float."""
        return None if self.weight is None else parse(self.weight)

    @property
    def activation_format(self) -> Format:
        """Format of the hidden activations of a quantised network."""
        if self.activation is not None:
            return parse(self.activation)
        return default_activation(self.weight_format or Fixed(8))

    @property
    def schedule(self) -> Schedule:
        """The schedule asked for, with the kept default where nothing is."""
        asked = {name: getattr(self, name) for name in SCHEDULE}
        default = default_schedule(self.network, self.dataset, self.weight_format)
        return replace(default, **{name: each for name, each in asked.items() if each is not None})

    @property
    def is_float(self) -> bool:
        """Whether nothing is quantised."""
        return self.weight is None

    def float_version(self) -> Self:
        """Return the recipe of the float network that the quantised one starts from."""
        quantised = ("weight", "activation", "first", "last", "input", "distill")
        return replace(
            self, **dict.fromkeys(quantised), layers=(), channels=(), **_PLAIN, **_CONSTRAINT
        )

    def input_format(self, dataset: Dataset) -> Format:
        """Format of the pixels of ``dataset`` in this recipe: of floats, that of activations."""
        if self.input is not None:
            return parse(self.input)
        floats = not self.is_float and isinstance(self.activation_format, Float)
        return self.activation_format if floats else dataset.input

    def formats(self, names: Sequence[str], weighted: Mapping[str, int]) -> dict[str, Formats]:
        """Return the formats of every step; see `layer_formats` and `constrained`."""
        assert self.weight_format is not None
        found = layer_formats(
            Formats(self.weight_format, self.activation_format),
            names,
            weighted,
            first=self.first,
            last=self.last,
            layers=self.layers,
            channels=self.channels,
        )
        for name in self.constrained(list(weighted)):
            found[name] = found[name]._replace(constraint=self.constraint)
        return found

    def plain(self) -> dict[str, object]:
        """Return all fields as plain JSON data, defaults resolved.

        Of a file of arrays there is also what it holds: keys of what was trained have that.

        Raises
        ------
        DataError
            For a file that cannot be read.
        """
        data = asdict(self) | asdict(self.schedule)
        data |= {"widths": list(self.widths), "layers": [list(each) for each in self.layers]}
        data["channels"] = {name: list(widths) for name, widths in named_widths(self.channels)}
        if not data["channels"]:  # as recipes once were
            del data["channels"]
        if self.constraint is None:
            for name in _CONSTRAINT:
                del data[name]
        if self.network != "mlp":
            del data["widths"]
        if self.weight is not None:
            data["activation"] = str(self.activation_format)
        if is_file(self.dataset):
            data["images"] = arrays_digest(self.dataset)
        return data

    @property
    def dataset_name(self) -> str:
        """The data set in names of networks: without the path of a folder or a file."""
        if is_file(self.dataset):
            return Path(self.dataset).stem
        return self.dataset.partition(":")[0]

    def command(self) -> str:
        """Return the command that trains it."""
        words = ["narrowgauge", "train"]
        for name in OPTIONS:
            value = getattr(self, name)
            if name == "layers":
                words += [f"--layer {layer}={text}" for layer, text in value]
            elif name == "channels":
                words += [f"--channels {CHANNELS_FILE}"] if value else []
            elif name == "widths" and self.network == "mlp":
                words.append(f"--widths {','.join(map(str, value))}")
            elif name != "widths" and value is not None and value != OPTIONS[name]:
                words.append(f"--{name.replace('_', '-')} {value}")
        return " ".join(words)

    def digest(self, *, start: "Recipe | None" = None) -> str:
        """Return what names the training of this recipe, from the network of another or none."""
        parts = [self.plain(), None if start is None else start.plain()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


CHANNELS_FILE = "channels.json"
"""What commands call the file of the widths, which is not known; networks' headers have them."""

# recipe's fields that are options of ``narrowgauge train``, and those defaults worth leaving out
OPTIONS: dict[str, object] = {
    "dataset": None,
    "network": None,
    "widths": None,
    "width": 1.0,
    "weight": None,
    "activation": None,
    "first": None,
    "last": None,
    "layers": None,
    "channels": None,
    "input": None,
    "epochs": None,
    "batch": None,
    "rate": None,
    "multiplier_bits": 10,
    "accumulator_bits": None,
    "constrain": None,
    "ends": "constrained",
    "seed": None,
}

# what a float training has no use for, so that all formats share one
_PLAIN: dict[str, Any] = {"scale": "learned", "rounding": "nearest", "multiplier_bits": 10}
_CONSTRAINT: dict[str, Any] = {"accumulator_bits": None, "constrain": None, "ends": "constrained"}
