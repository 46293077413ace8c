"""Layers of the array at random, and the sums of a job in the order in which they leave it."""

from itertools import product

from hypothesis import strategies as st

from narrowgauge.hw.accelerator.job import Job, Tag, loops_of
from narrowgauge.hw.accelerator.outputs.drain import DrainConfig, DrainLayer


@st.composite
def configs(draw, contexts=2, unit=None):
    """Two layers with all loops, on arrays of one or two chains.

    With a ``unit``, segments have so many codes: no fewer than there are chains.
    """
    columns, ranks, chains = (draw(st.integers(1, most)) for most in (3, 2, unit or 2))
    columns *= unit or 1
    layers = [_layer(draw, columns, ranks * chains) for _ in range(2)]
    channels = max(layer.groups * layer.group_channels for layer in layers) + columns
    shifts = any(layer.shifts > 1 for layer in layers)
    tag = Tag(Job(contexts, 2), chains=chains, ranks=ranks, channels=channels, shifts=shifts)
    rows = max(layer.parameter_base + layer.tiles * columns * layer.groups for layer in layers)
    return DrainConfig(tag, columns, ranks, chains, rows, layers)


def jobs(contexts):
    """Jobs of two layers: context and layer."""
    job = st.tuples(st.integers(0, contexts - 1), st.integers(0, 1))
    return st.lists(job, min_size=1, max_size=4)


def _layer(draw, columns, rows):
    tiles, chunks, images, groups = (draw(st.integers(1, 2)) for _ in range(4))
    channels = draw(st.integers((tiles - 1) * columns + 1, tiles * columns))
    return DrainLayer(
        tiles, chunks, images, groups,
        positions=draw(st.integers((chunks - 1) * rows + 1, chunks * rows)),
        # the last group may have fewer
        channels=groups * channels - draw(st.integers(0, channels - 1)) * (groups > 1),
        group_channels=channels,
        parameter_base=draw(st.integers(0, 3)),
        own_parameters=draw(st.booleans()),
        shifts=draw(st.sampled_from([1, 1, 2, 3])),
    )  # fmt: skip


def tags(config, context, layer):
    """The rounds of the loops, the tag, and the row of parameters of every sum of a job."""
    of = config.layers[layer]
    limits = {"column": config.columns, "rank": config.ranks, "tile": of.tiles}
    limits |= {"shift": of.shifts, "chunk": of.chunks, "image": of.images, "group": of.groups}
    loops = loops_of(config.tag)
    for rounds in product(*(range(limits[name]) for name in reversed(loops))):
        at = {"shift": 0} | dict(zip(reversed(loops), rounds, strict=True))
        inside = at["tile"] * config.columns + at["column"]
        channel = at["group"] * of.group_channels + inside
        left = of.positions - at["chunk"] * config.rows - at["rank"] * config.chains
        own = at["group"] * of.tiles * config.columns if of.own_parameters else 0
        tag = {
            "context": context,
            "layer": layer,
            "last": {name: at[name] == limits[name] - 1 for name in loops},
            "used": inside < of.group_channels and channel < of.channels,
            "rows": [left > chain for chain in range(config.chains)],
            "rank": at["rank"],
        }
        if tag["used"]:  # other channels are written nowhere
            tag["channel"] = channel
        yield at, tag, of.parameter_base + own + inside


def payload_of(tag):
    """A tag of `tags` as inputs of components take it."""
    return {
        "job": {name: tag[name] for name in ("context", "layer")},
        "last": tag["last"],
        "used": tag["used"],
        "rows": sum(row << chain for chain, row in enumerate(tag["rows"])),
        "rank": tag["rank"],
        "channel": tag.get("channel", 0),
    }
