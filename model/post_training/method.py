"""Options of a post-training quantisation: formats, ranges, rounding, corrections."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from ...hw.errors import FormatError, NetworkError
from ...hw.numbers.arithmetic import Accumulator
from ...hw.numbers.formats import Bipolar, Fixed, Float, Format, default_activation, parse
from ..layers.blocks import Formats
from ..layers.quantize import check_activation, check_pair, check_weight
from ..layers.widths import Channels, named_widths
from ..training.recipe import layer_formats, parse_formats

__all__ = [
    "ACTIVATION_RANGES",
    "NORMS",
    "ROUNDINGS",
    "SCALES",
    "WEIGHT_RANGES",
    "PostTraining",
]

ACTIVATION_RANGES = ("percentile", "mse", "minmax", "kl", "loss")
NORMS = ("kept", "folded")
WEIGHT_RANGES = ("mse", "minmax", "output")
ROUNDINGS = ("nearest", "stochastic", "chop", "learned")
RANGES = ("activation_range", "percentile", "multiplier_bits")
"""Options that say nothing where activations are floats."""
SCALED = ("weight_range", "scales")
"""Options that say nothing where weights are."""
SCALES = ("channel", "tensor")


@dataclass(frozen=True)
class PostTraining:
    """Everything that decides what a quantisation gives, beside network and images.

    Formats are named as in `hw.numbers.formats.parse`.

    Parameters
    ----------
    weight : str
        Weight format.
    activation : str, optional
        Format of hidden activations; None takes `default_activation`. Behind a ReLU only the levels
        of a signed one from 0 on are used: they are those of the unsigned one of a bit less.
    input : str, optional
        Format of the images; None takes that of the data.
    first, last : str, optional
        ``WEIGHT/ACTIVATION`` of the first and the last layer with weights, either half optional.
    layers : sequence of pairs
        Layer names and their ``WEIGHT/ACTIVATION``; they win over ``first`` and ``last``.
    channels : mapping
        Widths of output channels, as in `Recipe`.
    scales : str
        ``channel`` for a weight scale a channel, ``tensor`` for one a layer. The last layer has one
        in any case, because its sums are compared with each other.
    weight_range : str
        ``mse``: the scale at which weights lose least in the mean square; ``minmax``: the largest
        weight is the largest level; ``output``: what the layer gives loses least, see
        `weight_search`.
    norms : str
        ``kept``: norms are part of the multipliers that rescale sums, and weights are what they
        were trained to be; ``folded``: weights are multiplied by their slopes first.
    equalize : bool
        Equalise channels across layers (see `equalization`); folds the norms.
    activation_range : str
        ``percentile``; ``mse`` and ``minmax`` as for weights; ``kl``: the histogram of levels is
        nearest to that of values (Migacz, "8-bit inference with TensorRT", 2017); or ``loss``:
        probabilities of classes change least, see `search`.
    percentile : float
        Per cent of the values that are within, for ``percentile``.
    bias_correction : bool
        Take off offsets what rounding moves the mean of a channel by (Nagel et al., "Data-free
        quantization through weight equalization and bias correction", 2019).
    rounding : str
        Of weights: ``nearest``, ``stochastic`` (up with the probability of the fractional
        distance), ``chop`` (towards zero) or ``learned`` (see `learned`).
    seed : int
        Of ``stochastic`` and ``learned``.
    multiplier_bits : int
        Width that requantisation multipliers may have; see `layers.norm.round_norms`.
    accumulator_bits : int, optional
        Width of an accumulator that no input overflows: weights are rounded so that their sums fit
        (see `limited_rounding`), with scales that may be larger than ``weight_range`` says.
    overflow : str
        What that does when it overflows: ``wrap`` or ``saturate``.

    Raises
    ------
    FormatError
        For a format that does not exist or cannot be used in its place.
    GeometryError
        For an accumulator that does not exist.
    NetworkError
        For another option that does not exist, a number beyond its range, or a rounding that knows
        no limits together with an accumulator.
    """

    weight: str = "int8"
    activation: str | None = None
    input: str | None = None
    first: str | None = None
    last: str | None = None
    layers: Sequence[tuple[str, str]] = ()
    channels: Channels = ()
    scales: str = "channel"
    weight_range: str = "mse"
    norms: str = "kept"
    equalize: bool = False
    activation_range: str = "percentile"
    percentile: float = 99.9
    bias_correction: bool = True
    rounding: str = "nearest"
    seed: int = 0
    multiplier_bits: int = 16
    accumulator_bits: int | None = None
    overflow: str = "wrap"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple((name, text) for name, text in self.layers))
        object.__setattr__(self, "channels", named_widths(self.channels))
        for name, known in (
            ("scales", SCALES),
            ("weight_range", WEIGHT_RANGES),
            ("norms", NORMS),
            ("activation_range", ACTIVATION_RANGES),
            ("rounding", ROUNDINGS),
        ):
            if getattr(self, name) not in known:
                raise NetworkError(f"{name} is {', '.join(known)}, not {getattr(self, name)!r}")
        if not 50 <= self.percentile <= 100:
            raise NetworkError(f"a percentile is 50 to 100 per cent, not {self.percentile:g}")
        if not 1 <= self.multiplier_bits <= 24:
            raise NetworkError(f"multipliers have 1 to 24 bits, not {self.multiplier_bits}")
        if not 0 <= self.seed < 1 << 63:
            raise NetworkError(f"a seed is 0 to 2**63 - 1, not {self.seed}")
        for text in (self.first, self.last, *(text for _, text in self.layers)):
            if text is not None:
                parse_formats(text, self.common)
        if self.accumulator_bits is not None and self.rounding != "nearest":
            raise NetworkError(
                f"rounding {self.rounding} knows no accumulator; for one of given bits weights go "
                "to the nearest levels that its sums have room for: take rounding nearest"
            )
        _ = self.common, self.input_format, self.accumulator
        self._check_floats()

    def _check_floats(self) -> None:
        """Refuse what floats have none of."""
        weight, activation = self.common[:2]
        check_pair(weight, activation)
        if isinstance(activation, Float) and self.accumulator_bits is not None:
            raise NetworkError(
                f"{activation} activations are summed in floats, which have no accumulator of "
                "given bits: leave out accumulator_bits and overflow"
            )
        if isinstance(weight, Float) and self.rounding != "nearest":
            raise NetworkError(f"{weight} weights are rounded to nearest, not {self.rounding}")
        idle = [*(RANGES if isinstance(activation, Float) else ())]
        idle += SCALED if isinstance(weight, Float) else ()
        for each in fields(self):
            if each.name in idle and getattr(self, each.name) != each.default:
                raise NetworkError(
                    f"{each.name} is for levels that are scaled, and {weight} weights with "
                    f"{activation} activations have no such: leave it out"
                )

    @property
    def common(self) -> Formats:
        """Formats of the layers that have none of their own; raises `FormatError`."""
        weight = check_weight(parse(self.weight))
        if self.activation is not None:
            return Formats(weight, check_activation(parse(self.activation)))
        return Formats(weight, check_activation(default_activation(weight), weight))

    @property
    def input_format(self) -> Format | None:
        """Format of the images, where one is asked for; raises `FormatError`."""
        activation = self.common.activation
        if self.input is None:
            return activation if isinstance(activation, Float) else None
        fmt = parse(self.input)
        if isinstance(activation, Float) and fmt != activation:
            raise FormatError(
                f"images of a network with {activation} activations are {activation}, not {fmt}: "
                "leave out the input"
            )
        if fmt == activation and isinstance(fmt, Float):
            return fmt
        if not isinstance(fmt, Bipolar | Fixed) or fmt.max_level < 1:
            raise FormatError(f"the format of images is bipolar, intN or uintN, not {fmt}")
        return fmt

    @property
    def accumulator(self) -> Accumulator | None:
        """The register that is asked for; raises `GeometryError`."""
        if self.accumulator_bits is None:
            return None
        return Accumulator(self.accumulator_bits, self.overflow)

    def formats(self, names: Sequence[str], weighted: Mapping[str, int]) -> dict[str, Formats]:
        """Return the formats of every step; see `layer_formats`."""
        return layer_formats(
            self.common,
            names,
            weighted,
            first=self.first,
            last=self.last,
            layers=self.layers,
            channels=self.channels,
        )

    def plain(self) -> dict[str, object]:
        """Return all options as plain JSON data; widths of channels where there are any."""
        data: dict[str, object] = {**asdict(self), "layers": [list(each) for each in self.layers]}
        del data["channels"]
        if self.accumulator_bits is None:  # as it was before there was any
            del data["accumulator_bits"], data["overflow"]
        widths = {name: list(each) for name, each in named_widths(self.channels)}
        return data | {"channels": widths} if widths else data

    def words(self) -> list[str]:
        """Return the options of ``narrowgauge quantize`` that differ from its own, but channels."""
        words = [f"--weight {self.weight}"]
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            option = each.name.replace("_", "-")
            if each.name == "layers":
                words += [f"--layer {name}={text}" for name, text in value]
            elif each.name == "channels" or value == each.default:  # a file that is not known
                continue
            elif isinstance(value, bool):
                words.append(f"--{option}" if value else f"--no-{option}")
            else:
                words.append(f"--{option} {value}")
        return words
