"""Su and others (ARC 2018): what precision reaches an accuracy at the least cost on an FPGA.

The claims are those of the abstract: float beats one bit at 99 % of MNIST, 2 and 4 bits are the
best trade-off on MNIST and CIFAR-10, and 4 bits on ImageNet.
"""

from ...pricing.training import HELD_OUT
from ..study import Study
from .claims import CLAIMS, CONTROLS
from .figures import FIGURES
from .plan import DEVICE, ELEMENTS, EPOCHS, LONG, NAMES, PLACEMENTS, SIMULATED, cells, then
from .priced import BLOCK
from .tables import tables

__all__ = ["STUDY"]

_SCHEDULES = ", ".join(
    f"{name} {each.exact}, then {each.bipolar} with weights of one bit, {each.others} with others"
    for name, each in EPOCHS.items()
)
_LONG = ", ".join(f"{name} {epochs}" for name, epochs in LONG.items())

STUDY = Study(
    name="su2018",
    title="The price of accuracy, from float to one bit",
    question=(
        "Su and others ([ARC 2018](https://arxiv.org/abs/1807.10577)) ask not what a format costs, "
        "but what an accuracy costs in it: a network of narrow weights has to be wider. They "
        "report that for 99 % of MNIST 32-bit float is more efficient than weights of one bit, "
        "that 2 and 4 bits are the better trade-off on MNIST and CIFAR-10, and 4 bits for AlexNet. "
        "Is that so on FPGAs with LUTs of four inputs, for which families of networks, and how "
        "much of it hangs on how DSP blocks are counted, and on floats that are built well?"
    ),
    method=(
        f"Networks of a family differ in width: MLPs of three hidden layers of 32 to 1024, LeNet-5 "
        f"with 0.15 to 1 times its channels, cifar10_full with 0.5 to 2 times. {HELD_OUT:,} "
        "training images, the same always, are held out: which network reaches a target is decided "
        "on them, and test images are for what is reported. Each network is trained in float, and "
        f"from there in each format, taught by the float one (epochs: {_SCHEDULES}); float "
        "networks are trained on their own as long as any other in all, too "
        f"({_LONG} epochs), and the better of the two counts. Pixels are as narrow as "
        "integer activations; where weights and activations are of one bit they are read as planes "
        "of 8 bits. Of several seeds, which are those near 99 %, the mean counts, and its standard "
        "error holds their spread and the choice of images. "
        f"A format's [element](../array.md) is placed and routed alone on {ELEMENTS}, "
        f"{PLACEMENTS} placements: an image costs its products times LUTs a lane, over the clock. "
        "So no memory limits a network, and all formats are compared at full use. "
        f"A DSP block counts as {BLOCK} LUTs, which an int16 x uint16 multiply-accumulate saves "
        "with one, and beside that as none; elements with blocks and without compete. Pools, "
        "requantisation, memories and control are left out there, and are in whole accelerators "
        f"that fill {DEVICE}, whose size and clock are estimated, then routed, with {SIMULATED} "
        "images in simulation. "
        "A format's price is the cheapest network that reaches the target; the cheapest that may, "
        "by twice its error, and the cheapest that surely does, bound it. Formats whose bounds "
        "overlap are tied, and a rank is one more than the formats that are surely cheaper. The "
        "same functions are `narrowgauge price`."
    ),
    differs=(
        "Only the paper's abstract was at hand: its training, its cost equation, its networks and "
        "its tables are not known to us, and that cost is area times time at equal accuracy is "
        "our reading. Nor are its devices and its activations: weights of one bit are tried with "
        "activations of 1 and of 8 bits. Trainings are short, and one bit gains most from longer "
        "ones: "
        "the LeNet-5 of the [zoo](../zoo.md) with one bit throughout, 20 epochs on all training "
        "images, labels 99.23 % of the test images right. Float networks stay in float; formats "
        "are the same in all layers."
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
