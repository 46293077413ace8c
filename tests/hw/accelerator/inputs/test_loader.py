"""The loader against a list of words: packing, planes, regions, batches, areas in use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from narrowgauge.hw.accelerator.inputs.loader import Loader, LoaderConfig
from narrowgauge.hw.errors import GeometryError
from narrowgauge.hw.numbers.formats import parse

from ....formal.proof import edit
from ...simulation import run

FORMATS = [  # elements, codes, stored as bit planes
    ("uint3", "uint3", False),
    ("uint2", "int4", False),
    ("int3", "int5", False),
    ("bipolar", "int2", False),
    ("bipolar", "bipolar", False),
    ("uint3", "bipolar", True),
    ("uint1", "bipolar", True),
]


def make(formats=FORMATS[0], *, elements, lanes, images=2, contexts=2, spare=0, segments=1):
    element, code, bitwise = formats
    planes = parse(element).width if bitwise else 1
    return LoaderConfig(
        element=parse(element), code=parse(code), bitwise=bitwise, elements=elements, lanes=lanes,
        segments=segments, image_words=planes * -(-elements // lanes) + spare, images=images,
        contexts=contexts,
    )  # fmt: skip


def image_words(config, codes):
    """Words of an image, plane after plane; lanes that are left over have code 0."""
    lanes, bits = config.lanes, config.code.width
    codes = codes + [0] * (-len(codes) % lanes)
    if config.bitwise:
        planes = [
            [code >> bit & 1 for code in codes] for bit in reversed(range(config.element.width))
        ]
    else:
        levels = [config.element.to_level(code) for code in codes[: config.elements]]
        stored = [config.code.to_code(level) for level in levels]
        planes = [stored + [0] * (len(codes) - len(stored))]
    return [
        sum(code << lane * bits for lane, code in enumerate(plane[at : at + lanes]))
        for plane in planes
        for at in range(0, len(plane), lanes)
    ]


def batches_of(config, images):
    """Numbers of the images of each batch; one that closes a batch has its last mark."""
    batches = [[]]
    for number, (_, closes) in enumerate(images):
        if len(batches[-1]) == config.images:
            batches.append([])
        batches[-1].append(number)
        if closes:
            batches.append([])
    return [batch for batch in batches if batch]


def check(config, images, *, gaps=0.0, refused=0.0, held=0.0, seed=0):
    """Load ``images``, of codes and whether each closes its batch; return the cycles it took."""
    loader, rng = Loader(config), np.random.default_rng(seed)
    stream = [
        {
            "code": config.element.to_level(code),
            "last": closes if index == config.elements - 1 else int(rng.integers(2)),
        }
        for codes, closes in images
        for index, code in enumerate(codes)
    ]
    batches, memory, loaded = batches_of(config, images), {}, set()
    full = [batch for batch in batches if len(batch) == config.images or images[batch[-1]][1]]
    reported, cycle = [], 0

    async def testbench(ctx):
        nonlocal cycle
        offers, request = False, None
        while len(reported) < len(full):
            cycle += 1
            assert cycle < 5000
            offers = bool(stream) and (offers or rng.random() >= gaps)
            ctx.set(loader.i.valid, offers)
            if offers:
                ctx.set(loader.i.payload, stream[0])
            granted = rng.random() >= refused
            ctx.set(loader.write.granted, granted)
            loaded.difference_update({each for each in loaded if rng.random() >= held})
            ctx.set(loader.i_loaded, sum(1 << context for context in loaded))
            taken = offers and ctx.get(loader.i.ready)
            enable = ctx.get(loader.write.enable)
            if enable:
                assert enable == (1 << config.segments) - 1
                here = ctx.get(loader.write.address), ctx.get(loader.write.data)
                assert request in (None, here), "a request stays until it is granted"
                context = here[0] // (config.images * config.image_words)
                assert context not in loaded
                if granted:
                    memory[here[0]] = here[1]
                request = None if granted else here
            else:
                assert request is None
            loads = ctx.get(loader.loaded.valid)
            if loads:
                assert enable
                assert granted
                context, batch = (done := ctx.get(loader.loaded.payload)).context, done.batch
                reported.append((context, batch.count, batch.image))
                numbers = full[len(reported) - 1]
                for index, number in enumerate(numbers):
                    at = (context * config.images + index) * config.image_words
                    words = image_words(config, images[number][0])
                    assert [memory.get(at + word) for word in range(len(words))] == words
            await ctx.tick()
            if taken:
                stream.pop(0)
            if loads:
                loaded.add(reported[-1][0])

    run(loader, testbench)
    assert reported == [
        (number % config.contexts, len(batch), batch[0]) for number, batch in enumerate(full)
    ]
    return cycle


@st.composite
def cases(draw):
    lanes = draw(st.integers(1, 4))
    config = make(
        draw(st.sampled_from(FORMATS)), elements=draw(st.integers(1, 7)), lanes=lanes,
        images=draw(st.integers(1, 3)), contexts=draw(st.integers(1, 2)),
        spare=draw(st.integers(0, 2)), segments=draw(st.sampled_from([1, lanes])),
    )  # fmt: skip
    codes = st.integers(0, (1 << config.element.width) - 1)
    image = st.lists(codes, min_size=config.elements, max_size=config.elements)
    return config, draw(st.lists(st.tuples(image, st.booleans()), min_size=1, max_size=6))


rates = st.sampled_from([0.0, 0.4])


@settings(max_examples=25)
@given(cases(), rates, rates, st.sampled_from([0.0, 0.8, 0.95]), st.integers(0, 99))
def test_equals_a_list_of_words(case, gaps, refused, held, seed):
    check(*case, gaps=gaps, refused=refused, held=held, seed=seed)


def test_words_by_hand():
    config = make(elements=3, lanes=2)
    assert image_words(config, [1, 2, 7]) == [1 | 2 << 3, 7]
    planes = make(("uint2", "bipolar", True), elements=3, lanes=2)
    assert image_words(planes, [1, 2, 3]) == [0b10, 0b1, 0b01, 0b1]
    assert batches_of(config, [([], 0), ([], 1), ([], 1), ([], 0)]) == [[0, 1], [2], [3]]


def test_an_element_a_cycle():
    """Whole words cost nothing; what the last word of an image lacks, and planes, cost cycles."""
    for formats, elements, cycles in (
        (FORMATS[0], 4, 5),  # and one before the next image
        (FORMATS[0], 5, 7),
        (FORMATS[5], 4, 9),
    ):
        config = make(formats, elements=elements, lanes=2)
        few, many = (check(config, [([1] * elements, 0)] * count) for count in (2, 6))
        assert many - few == 4 * cycles


@pytest.mark.parametrize(
    ("method", "old", "new"),
    [
        ("_walk", "Mux(full, Mux(following == 0, 0, images * words), first + words)", "0"),
        ("elaborate", "self.i.payload.last | last_image", "last_image"),
        ("elaborate", "free & ~padding", "~padding"),
        ("_encoded", "code.level", "code.as_value()"),
    ],
)
def test_a_planted_fault_is_found(monkeypatch, method, old, new):
    config = make(("int3", "int5", False), elements=3, lanes=2)
    images = [([7, 6, index], closes) for index, closes in enumerate([0, 0, 1, 1, 0, 0])]
    check(config, images, held=0.9)
    edit(monkeypatch, Loader, method, old, new)
    with pytest.raises(AssertionError):
        check(config, images, held=0.9)


@pytest.mark.parametrize(("formats", "words"), [(FORMATS[0], 3), (FORMATS[5], 9)])
def test_a_region_smaller_than_an_image_is_refused(formats, words):
    assert make(formats, elements=5, lanes=2).image_words == words
    with pytest.raises(GeometryError, match=f"takes {words} words of 2 codes: .* not {words - 1}"):
        make(formats, elements=5, lanes=2, spare=-1)
