"""Random networks, geometries and operands."""

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from narrowgauge.hw.arithmetic import OVERFLOWS, Accumulator
from narrowgauge.hw.array import Geometry
from narrowgauge.hw.network import Dense, Network
from narrowgauge.hw.number import Bipolar, Fixed, parse

FAMILIES = [  # weights, input, hidden activations
    ("bipolar", "bipolar", "bipolar"),
    ("bipolar", "uint4", "bipolar"),
    ("bipolar", "int3", "bipolar"),
    ("bipolar", "uint1", "bipolar"),
    ("bipolar", "bipolar", "uint4"),
    ("bipolar", "uint3", "uint5"),
    ("bipolar", "int3", "int4"),
    ("pow2_4", "uint8", "uint8"),
    ("pow2_3", "int4", "int5"),
    ("int4", "uint4", "uint4"),
    ("int8", "uint8", "uint8"),
    ("int3", "int4", "int4"),
    ("uint2", "uint3", "uint2"),
    ("int2", "bipolar", "bipolar"),
]


def random_levels(rng, fmt, shape):
    """Levels of uniformly drawn codes."""
    return fmt.to_level(rng.integers(0, 1 << fmt.width, shape))


def random_network(seed, family, widths, accumulator, *, output=None):
    """A network of random integers, ``widths`` from its input to its output."""
    rng = np.random.default_rng(seed)
    weight, first, hidden = map(parse, family)
    output = output or Fixed(12)
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        last = index == len(widths) - 2
        target = output if last else hidden
        scaled = not last and target != Bipolar()
        layers.append(
            Dense(
                name=f"layer{index}",
                weight=weight,
                input=hidden if index else first,
                output=target,
                weights=random_levels(rng, weight, (outputs, inputs)),
                bias=rng.integers(-30, 30, outputs) * (100 if scaled else 1),
                multiplier=rng.integers(1, 60, outputs) if scaled else np.ones(outputs),
                shift=7 if scaled else 0,
            )
        )
    return Network("random", tuple(layers), accumulator)


geometries = st.builds(
    Geometry,
    rows=st.integers(1, 4),
    columns=st.integers(1, 5),
    lanes=st.integers(1, 6),
    hop=st.sampled_from([1, 2, 8]),
)
accumulators = st.builds(Accumulator, st.integers(4, 20), st.sampled_from(OVERFLOWS))


@st.composite
def networks(draw, max_width=14):
    """Networks of one to four layers."""
    widths = draw(st.lists(st.integers(1, max_width), min_size=2, max_size=5))
    seed = draw(st.integers(0, 1 << 16))
    output = parse(draw(st.sampled_from(["int12", "bipolar", "uint1", "int32", "uint5"])))
    family, accumulator = draw(st.sampled_from(FAMILIES)), draw(accumulators)
    return random_network(seed, family, widths, accumulator, output=output)
