"""Formats of every kind by name, and the pairs that are multiplied: what tests go through."""

from narrowgauge.hw.mac.choice import COMPUTES
from narrowgauge.hw.numbers.formats import Bipolar, Fixed, Float, MiniFloat, PowerOfTwo, parse

EXAMPLES = {  # of each kind; a new one joins here, and most tests take it along
    Bipolar: ["bipolar"],
    PowerOfTwo: [f"pow2_{width}" for width in range(2, 7)],
    MiniFloat: ["e1m1", "e1m2", "e2m1", "e3m2", "e4m3", "e5m2", "e2m5", "e1m10", "e5m10"],
    Fixed: [
        *(f"int{width}" for width in (1, 2, 3, 4, 8, 12, 16, 32)),
        *(f"uint{width}" for width in (1, 2, 4, 8, 16, 32)),
    ],
}
FLOATS = {Float: ["fp32", "fp16", "bf16", "float2_1", "float3_2", "float4_3", "float8_1"]}
NAMES = [name for names in EXAMPLES.values() for name in names]
MULTIPLIED = [  # a pair of each two kinds: the first two names of the weights
    (weight, activation, kind)
    for (weights, activations), kind in COMPUTES.items()
    if activations in EXAMPLES
    for weight in EXAMPLES[weights][:2]
    for activation in (["uint4", "int3"] if activations is Fixed else EXAMPLES[activations])
]


def parse_float(name: str) -> Float:
    """Return the float that ``name`` names."""
    fmt = parse(name)
    assert isinstance(fmt, Float)
    return fmt
