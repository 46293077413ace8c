"""Models of what the input side reads, in plain loops, and random layers for it."""

from dataclasses import dataclass
from itertools import product
from math import gcd

from hypothesis import assume
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.edge import Edges
from narrowgauge.hw.accelerator.inputs.walker import PatchLoops, WalkerConfig
from narrowgauge.hw.gates.address import CodeAddress


@dataclass(frozen=True)
class Run:
    """A run of codes, and where it stands in the loops."""

    group: int
    image: int
    y: int
    x: int
    plane: int
    outer: int
    inner: int
    start: int
    inside: tuple[bool, ...]

    @property
    def position(self):
        return self.group, self.image, self.y, self.x


def runs_of(config, layer, context=0):
    """The runs of a job, in the order in which they are read."""
    loops = config.layers[layer]
    first = context * config.context_words * config.form.lanes + loops.start
    found = []
    for group in range(loops.groups):
        at = first + group * loops.group_step
        positions = product(range(config.images), range(loops.height), range(loops.width))
        for image, y, x in positions:
            passes = product(range(loops.planes), range(loops.outer), range(loops.inner))
            for plane, outer, inner in passes:
                start = at + plane * loops.plane_step
                start += outer * loops.outer_step + inner * loops.inner_step
                place = (inner, outer) if loops.by_column else (outer, inner)
                inside = tuple(
                    _inside(loops.edges, y, x, *place, code) for code in range(loops.length)
                )
                found.append(Run(group, image, y, x, plane, outer, inner, start, inside))
            ends_row, ends_image = x == loops.width - 1, y == loops.height - 1
            step = loops.row_step if ends_row else loops.x_step
            at += loops.image_step if ends_row and ends_image else step
    return found


def _inside(edges, y, x, row, column, code):
    if edges is None:
        return True
    row = row - edges.top + y * edges.top_step
    place = code if edges.whole_rows else column
    return (
        0 <= row < edges.input_rows and 0 <= place - edges.left + x * edges.left_step < edges.right
    )


def steps_of(config, layer, context=0):
    """What a walker puts out, an address a step; ``None`` where it does not matter.

    ``codes`` are the lanes that are read, and whether each lies inside the image.
    """
    loops, form = config.layers[layer], config.form
    runs, single = runs_of(config, layer, context), loops.width * loops.height == 1
    steps, level, row, word = [], 0, 0, 0
    for index, run in enumerate(runs):
        ends_pass = (run.outer, run.inner) == (loops.outer - 1, loops.inner - 1)
        ends_position = ends_pass and run.plane == loops.planes - 1
        ends_image = (run.y, run.x) == (loops.height - 1, loops.width - 1)
        ends_images = run.image == config.images - 1
        ends_bank = row == config.rows - 1 or (ends_image and (not single or ends_images))
        here = {
            "last_group": run.group == loops.groups - 1,
            "first": (run.outer, run.inner) == (0, 0),
            "last": ends_pass,
            "row": row,
            "group_start": (run.image, run.y, run.x) == (0, 0, 0) if run.group else None,
        }
        units, unit = -(-loops.length // form.unit), run.start // form.unit
        pieces = []
        while units:
            part = unit % form.parts
            taken = min(units, form.parts - part)
            first = unit // form.parts * form.lanes - run.start  # lane 0, as a code of the run
            pieces.append((unit // form.parts, part, taken, first))
            unit, units = unit + taken, units - taken
        flushes = ends_pass and not loops.separate and form.parts > 1
        for number, (address, part, taken, first) in enumerate(pieces):
            ends_run = number == len(pieces) - 1
            tail = ends_run and (loops.separate or ends_pass) and not flushes
            total = level + taken
            full = total >= form.parts
            lanes = range(max(0, -first), min(form.lanes, loops.length - first))
            steps.append(
                here | {
                    "address": address % (1 << form.word_width), "part": part, "level": level,
                    "emit": full or tail, "tail": tail,
                    "word": word if full or tail else None,
                    "codes": [(lane, run.inside[lane + first]) for lane in lanes],
                    "pass_end": ends_run and ends_pass and not flushes,
                }
            )  # fmt: skip
            word += full or tail
            level = 0 if tail else total - form.parts if full else total
        if flushes:  # what is left of a pass goes out
            steps.append(
                here | {
                    "address": None, "part": None, "level": level, "emit": level > 0, "tail": True,
                    "word": word if level else None, "codes": [], "pass_end": True,
                }
            )  # fmt: skip
            word += level > 0
            level = 0
        for step in steps[-1:]:
            step["bank_end"] = ends_position and ends_bank
            step["job_end"] = index == len(runs) - 1
        if ends_position:
            row, word = 0 if ends_bank else row + 1, 0
    return steps


def words_of(config, layer, context=0):
    """For each position the words of its patch: of each word the codes, as (address, inside)."""
    loops, lanes = config.layers[layer], config.form.lanes
    passes = {}
    for number, run in enumerate(runs_of(config, layer, context)):
        codes = [(run.start + code, inside) for code, inside in enumerate(run.inside)]
        key = (run.position, run.plane, number if loops.separate else None)
        passes.setdefault(key, []).extend(codes)
    found = {}
    for (position, *_), codes in passes.items():
        words = [codes[at : at + lanes] for at in range(0, len(codes), lanes)]
        found.setdefault(position, []).extend(words)
    return found


def edges(draw, loops):
    """Edges of any kind around a window of the same loops."""
    whole = loops["inner"] == 1 and draw(st.booleans())
    right = draw(st.integers(1, 5))
    return Edges(
        whole_rows=whole,
        left=draw(st.integers(0, 6)),
        left_step=draw(st.integers(0, 2)),
        right=right,
        top=draw(st.sampled_from([0, 1, 2, 3, 20])),
        top_step=draw(st.integers(0, 2)),
        input_rows=draw(st.integers(1, 3)),
        width=loops["width"],
        height=loops["height"],
    )


@st.composite
def layers(draw, lanes, unit, images, padded):
    """Loops over random numbers of rounds, with random steps of ``unit``."""
    names = ("groups", "height", "width", "planes", "outer", "inner")
    loops = {name: draw(st.sampled_from([1, 1, 1, 2, 3])) for name in names}
    separate = draw(st.booleans())
    alone = separate or loops["outer"] * loops["inner"] == 1
    # whatever follows something in a word is made of units
    length = draw(st.integers(1, 3 * lanes)) if unit == lanes and alone else None
    length = length or unit * draw(st.integers(1, 3 * lanes // unit))
    if separate:
        length = min(length, lanes)
    rounds = images * loops["groups"] * loops["height"] * loops["width"] * loops["planes"]
    assume(rounds * loops["outer"] * loops["inner"] * (2 + length // lanes) <= 200)
    names = ("group_step", "image_step", "row_step", "x_step")
    steps = {name: unit * draw(st.integers(-3, 9)) for name in names}
    steps |= {name: unit * draw(st.integers(0, 5)) for name in ("plane_step", "outer_step")}
    steps["inner_step"] = unit * draw(st.integers(0, 5))
    around = edges(draw, loops) if padded and draw(st.booleans()) else None
    return PatchLoops(
        start=unit * draw(st.integers(0, 5)),
        **loops, **steps, length=length, separate=separate, edges=around,
        by_column=not (around and around.whole_rows) and draw(st.booleans()),
    )  # fmt: skip


@st.composite
def walkers(draw, *, padded=True, most_layers=2):
    """Configurations of a walker, whose layers have nothing to do with each other."""
    lanes = draw(st.sampled_from([1, 2, 3, 4, 6]))
    unit = draw(st.sampled_from([each for each in range(1, lanes + 1) if lanes % each == 0]))
    images, rows = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    each = layers(lanes, unit, images, padded)
    found = tuple(draw(st.lists(each, min_size=1, max_size=most_layers)))
    form = CodeAddress(draw(st.integers(20, 70)), lanes, unit)
    config = WalkerConfig(found, form, draw(st.integers(1, 2)), 7, images, rows, words=1)
    counts = [
        len(words) for layer in range(len(found)) for words in words_of(config, layer).values()
    ]
    return WalkerConfig(found, form, config.contexts, 7, images, rows, words=max(counts))


def convolution(*, lanes, channels=1, side=3, kernel=3, padding=1, rows=2, images=1, contexts=1):
    """A walker of one padded convolution of square images, which lie one after another."""
    row, length = side * channels, kernel * channels
    windows = side + 2 * padding - kernel + 1
    words = -(-side * row // lanes)
    back = (windows - 1) * channels
    steps = {
        "x_step": channels, "row_step": row - back, "outer_step": row, "inner_step": 0,
        "image_step": words * lanes - (windows - 1) * row - back, "group_step": 0, "plane_step": 0,
    }  # fmt: skip
    start = -(padding * row + padding * channels)
    outside = Edges(
        whole_rows=True, left=padding * channels, left_step=channels, right=row, top=padding,
        top_step=1, input_rows=side, width=windows, height=windows,
    )  # fmt: skip
    loops = PatchLoops(
        start=start, groups=1, height=windows, width=windows, planes=1, outer=kernel, inner=1,
        length=length, separate=False, edges=outside, **steps,
    )  # fmt: skip
    unit = gcd(lanes, start, length, *steps.values())
    return WalkerConfig(
        (loops,), CodeAddress(contexts * images * words, lanes, unit), contexts, images * words,
        images, rows, words=-(-kernel * length // lanes),
    )  # fmt: skip
