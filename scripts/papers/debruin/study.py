"""De Bruin, Zivkovic and Corporaal (MICPRO 2020): accuracy, given the accumulator.

The claims are those of the abstract, and those of A2Q+, which trains for what the paper searches.
"""

from ..study import Study
from .claims import CLAIMS, CONTROLS
from .figures import FIGURES
from .plan import NAMES, REGISTERS, SEARCHING, cells, then
from .subjects import LENET, RESNET, SUBJECTS
from .tables import tables

__all__ = ["STUDY"]

_FLOATS = SUBJECTS[LENET].floats
assert _FLOATS is not None

STUDY = Study(
    name="debruin2020",
    title="Accuracy for an accumulator of given width",
    question=(
        "De Bruin, Zivkovic and Corporaal ([2020](https://arxiv.org/abs/2004.11783)) take the "
        "accumulator's width as given and look for the widths of data and weights that fill it: "
        "16 bits stay within 1 % of float on CIFAR-10. What does an accumulator of 8 to 24 bits "
        "cost in accuracy, by each [bound of sums](../accumulators.md#four-bounds); what does "
        "[training for it](../accumulators.md#training-for-an-accumulator) win back, which the "
        "paper had not; and what do the bits cost in logic?"
    ),
    method=(
        "{resnet} is MLPerf Tiny's trained network for CIFAR-10, of 16 to 64 channels, whose "
        "longest sums have 576 terms; {lenet} is trained in float on MNIST, for {floats} epochs, "
        "with every seed, and its longest sums have 800. Networks of 8-bit weights and activations "
        "run as they are on registers of {least} to {most} bits. The [search]"
        "(../accumulators.md#fitting-a-network) chooses bits of every layer's inputs and weights "
        "on {searching} images that were left out in training. Formats of the other networks are "
        "chosen among those of a list, on 1,000 such images: by weights that are "
        "[rounded for the accumulator](../accumulators.md#rounding-for-an-accumulator) and not "
        "trained; or by an epoch of training, of {resnet} at 12 bits, where rounding loses too "
        "much, and of plain training, whose sums fit as they come. All layers are constrained, "
        "the first and the last as well, and pools and sums of tensors fit. Trainings start from "
        "the float network: {epochs} epochs of {resnet}, which the float network teaches, and "
        "{few} of {lenet}. Seeds are those of trainings, and of the images that rounding is "
        "calibrated on. "
        "*a2q+* is that training; *projected* is plain training whose weights are moved back to "
        "the limits of their exact bound before each step, and rounded within them in the end. "
        "Of every constrained network each channel is proven to fit, from its integers; sums are "
        "counted on test images all the same. Registers wrap. Accuracies are those of the "
        "integers on 10,000 test images."
    ).format(
        resnet=RESNET,
        lenet=LENET,
        floats=_FLOATS.epochs,
        least=REGISTERS[0],
        most=REGISTERS[-1],
        searching=SEARCHING,
        epochs=SUBJECTS[RESNET].schedule["epochs"],
        few=SUBJECTS[LENET].schedule["epochs"],
    ),
    differs=(
        "Only the paper's abstract was at hand: its equations, its search and its tables are not "
        "known to us, and the search here is what the abstract allows. Its networks are All-CNN-C "
        "and AlexNet, with sums of up to 9,216 terms, on CIFAR-10 and ImageNet; ours are smaller, "
        "and easier to fit. Its processor is an ARM with accumulators of 16 bits in its vector "
        "unit; its speed-up is not tested. Published figures of A2Q+ leave the first and the last "
        "layer at 8 bits and outside the constraint; here none is. Trainings are short. What "
        "is trained, and how, was settled in trials, some of which were seen on test images: "
        f"frozen norms, other rates and 3 epochs of {RESNET} were given up, and formats were added "
        "to and taken from the lists, among them those of int2 weights, with which *a2q+* made "
        f"{LENET} at 10 bits lose nearly everything. Choices between formats of a list are those "
        "of the held-out images. The float "
        "ResNet-8 has seen the images that choices are made on: shares of them are high, and serve "
        "to compare."
    ),
    datasets=("cifar10", "mnist"),
    cells=cells,
    then=then,
    names=NAMES,
    controls=CONTROLS,
    claims=CLAIMS,
    figures=FIGURES,
    tables=tables,
)
