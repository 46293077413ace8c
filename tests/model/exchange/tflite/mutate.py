"""Imports damaged files: each works, or is refused in one line.

``python -m tests.model.exchange.tflite.mutate FILE... --count 2000`` damages given files, or one
that has every operator, and says how many were refused, imported, or worse, and the longest time
and the most memory.
"""

import argparse
import random
import resource
import struct
import time
from collections import Counter
from pathlib import Path

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange.tflite.importer import import_graph
from narrowgauge.model.exchange.tflite.reading import from_content

from .files import classes, layers

__all__ = ["main", "mutations", "sample", "tried"]

NUMBERS = (0, 1, 2, 127, 128, 255, 0x7FFF, 0xFFFF, 1 << 16, 1 << 24, (1 << 31) - 1, (1 << 32) - 1)


def mutations(content, count, seed):
    """Yield damaged contents: bits, bytes and words changed, parts cut, moved and doubled."""
    rng = random.Random(seed)
    for _ in range(count):
        octets = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            at = rng.randrange(8, len(octets) - 8)
            match rng.randrange(6):
                case 0:
                    octets[at] ^= 1 << rng.randrange(8)
                case 1:
                    octets[at] = rng.randrange(256)
                case 2:
                    octets[at : at + 4] = struct.pack("<I", rng.choice(NUMBERS))
                case 3:
                    octets[at & ~3 : (at & ~3) + 4] = struct.pack("<I", rng.randrange(1 << 16))
                case 4:
                    other = rng.randrange(8, len(octets) - 8)
                    octets[at : at + 8] = octets[other : other + 8]
                case _:
                    if rng.random() < 0.3:
                        del octets[at : at + rng.randrange(1, 9)]
        yield bytes(octets)


def sample():
    """A small file of every operator."""
    file, start = layers(size=(7, 6, 2), zero=5)
    padded = file.padded(start, [[0, 0], [1, 0], [0, 1], [0, 0]])
    one = file.product("CONV_2D", padded, 4, Padding="SAME", StrideH=2, zero=4)
    two = file.product("DEPTHWISE_CONV_2D", one, 4, Padding="SAME", DilationWFactor=2)
    three = file.like("ADD", [one, two], FusedActivationFunction="RELU")
    pooled = file.pool("AVERAGE_POOL_2D", file.pool("MAX_POOL_2D", three), (1, 2))
    four = file.like("QUANTIZE", [file.like("RELU6", [pooled])], None, 0.17, -3)
    shape = (1, 1, 1, 4)
    classes(file, file.like("MEAN", [four, file.constant([1, 2])], shape, KeepDims=True))
    return file.content()


def tried(content):
    """Import a content, which works or ends with one line; say which."""
    try:
        import_graph(from_content(content), name="net")
    except NetworkError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    return "imported"


def main():
    """Damage the files of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # torch maps more than it uses
    outcomes, longest = Counter(), 0.0
    contents = {path: path.read_bytes() for path in given.files} or {"sample": sample()}
    each = -(-given.count // len(contents))
    for seed, (path, whole) in enumerate(contents.items(), given.seed):
        for place, content in enumerate(mutations(whole, each, seed)):
            start = time.process_time()
            try:
                outcome = tried(content)
            except Exception as error:
                outcome = f"{type(error).__name__}: {error} ({path}, {place})"
            longest = max(longest, time.process_time() - start)
            outcomes[outcome] += 1
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(*(f"{count} {outcome}" for outcome, count in outcomes.items()), sep="\n")
    print(f"the longest took {longest:.1f} s; {memory:,.0f} MB at most")


if __name__ == "__main__":
    main()
