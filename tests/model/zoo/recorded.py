"""Records what each network of the zoo answers to the first test images, when its card is true.

``python -m tests.model.zoo.recorded`` verifies the card of every network on its whole test set, as
``narrowgauge zoo --verify`` does, and writes a digest of the levels of the first `IMAGES`; it takes
minutes. The tests compare the digest, which a single level changes, in seconds.
"""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

from narrowgauge.hw.network.network import Network
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.model.data import load
from narrowgauge.model.data.dataset import Dataset
from narrowgauge.model.integers.reference import evaluate
from narrowgauge.model.zoo import networks as zoo
from narrowgauge.model.zoo.verify import verify

RECORD = Path(__file__).with_name("recorded.json")
IMAGES = 256


def answers(network: Network, data: Dataset) -> str:
    """Return the digest of the last layer's levels for the first test images of a data set."""
    images = data.levels(data.test_images[:IMAGES], network.input).reshape(IMAGES, -1)
    levels = evaluate(network.with_accumulator(Accumulator(40)), images, 4).levels
    return sha256(levels.numpy().astype(np.int64).tobytes()).hexdigest()[:32]


def main() -> None:
    """Verify every network, then write the digests."""
    found = {}
    for name in zoo.names():
        network = zoo.load(name)
        found[name] = {
            "accuracy": verify(network),
            "digest": answers(network, load(network.about["dataset"])),
        }
        print(name, found[name], flush=True)
    RECORD.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
