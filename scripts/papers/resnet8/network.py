"""The float network of studies of ResNet-8, and the data that all networks of it share.

5,000 of CIFAR-10's training images are left out, as in `papers.floats`: choices are made on them.
The float network has seen all training images, so of their accuracy only differences count.
"""

import torch
from safetensors.torch import save as to_tensors

from ....model.training.feed import TrainingFeed
from ..floats import split
from .reference import read_reference

__all__ = ["ACTIVATION", "DATASET", "LANES", "float_parameters"]

DATASET = "cifar10"
ACTIVATION = "uint7"
"""Of hidden activations and pixels: with the shortcuts, which are signed, they are int8."""
STATISTICS = 2000  # images that give norms their statistics
LANES = 16  # of whose padding the accumulator takes account


def float_parameters() -> bytes:
    """Return the parameters of the float network, as safetensors."""
    dataset, _ = split(DATASET)
    feed = TrainingFeed(dataset, dataset.train_images, dataset.train_labels, None, _CPU)
    images, _ = next(feed.batches(STATISTICS, STATISTICS))
    module = read_reference(images.contiguous())
    return to_tensors({name: each.contiguous() for name, each in module.state_dict().items()})


_CPU = torch.device("cpu")
