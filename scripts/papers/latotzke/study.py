"""Latotzke, Ciesielski and Gemmeke (FPL 2022): one array for layers and channels of many widths.

The claims are those that the abstract makes of their accelerator, asked of this one: mixed networks
run natively, faster at equal logic, with less memory.
"""

from ..study import Study
from .claims import CLAIMS, CONTROLS
from .figures import FIGURES
from .plan import LONGER, NAMES, SCHEDULE, SIMULATED, cells, then
from .tables import tables

__all__ = ["STUDY"]

STUDY = Study(
    name="latotzke2022",
    title="Widths of layers and channels, on one array of slices",
    question=(
        "Latotzke, Ciesielski and Gemmeke ([FPL 2022](https://arxiv.org/abs/2208.04854)) run "
        "networks whose layers and channels have weights of different widths on one "
        "accelerator, which takes as many passes as a weight has slices, and choose widths and "
        "array for a given FPGA. Does that pay on FPGAs with LUTs of four inputs: at equal "
        "logic, how many images a second does an [array of slices](../array.md#slices) give "
        "beside arrays of whole weights of 8 and 4 bits, at what accuracy, and where do they "
        "cross? What do widths by layer and by channel add to one width for all?"
    ),
    method=(
        "The float network is MLPerf Tiny's trained ResNet-8 for CIFAR-10 "
        "(`pretrainedResnet.tflite`, 77,360 weights), with its BatchNorms unfolded, so that it "
        "can be trained further. Activations and pixels are uint7, and int8 where they may be "
        "negative. Networks are quantised after training, or trained further from the float "
        "network for {epochs} epochs on 45,000 images (*longer*: {longer}), to the "
        "float network's answers and with its norms frozen; rate and augmentation were chosen "
        "in validation, with the layers of 3 bits; in those trials the share of 2,000 test images "
        "was printed and seen, too. What a layer loses is the divergence of the "
        "answers where it alone is quantised; an integer program chooses the widths of 2, 3, 4, "
        "6 and 8 bits that lose least under a mean of bits; a channel's share of its layer's "
        "loss is that of its squared error. *Layers, fast* has the slices of a product as a "
        "second limit; *channels of 2 and 4* has 2 bits in half of the channels of each 3x3 "
        "convolution, 4 in the others. All choices are made on training images, with 5,000 that "
        "are left out in training; the float network has seen them. Accuracies are those of the "
        "exported integers on the 10,000 test images. Arrays multiply in logic cells; each is "
        "the fastest of its kind, by the cycle model and the estimator, in about the logic of "
        "the array of slices, and is placed and routed where the table says so. The mixed "
        "network and int8 are simulated on {images} test images, cycle by cycle. What is routed "
        "for *layers, longer* holds the network of {epochs} epochs: its widths, cycles and sizes "
        "of memories are the same, and weights are contents of memories."
    ).format(epochs=SCHEDULE["epochs"], longer=LONGER["epochs"], images=SIMULATED),
    differs=(
        "Only the paper's abstract was at hand. Its networks are ResNet-18 and ResNet-152 on "
        "ImageNet, which cannot be trained here: 245 frames/s and 87.48 % top-5, 1.13 TOPS and "
        "92.9 % top-5, with 4.9 and 9.4 times less memory than float, are of another device, "
        "and stand beside nothing here; the [shapes](../resnet-shapes.md) of both networks, "
        "without accuracy, are in the cycle model with stated bandwidths. Its elements and its "
        "device are not known to us. The "
        "ECP5-25k has too few block RAMs for ResNet-8 in int8, so arrays are compared on the "
        "ECP5-45k of the same fabric, in 14,400 of its logic cells. Trainings are short, and of "
        "one seed: errors are those of the choice of test images, and no claim holds without "
        "conditions. At a mean of 2 bits there is nothing to choose: bipolar layers are left "
        "out. What was not measured is listed below; of the fixed int4 array only cycles are "
        "known, by the model. The keyword network has no training clips: it is quantised after "
        "training only, and runs on no array here."
    ),
    datasets=("cifar10",),
    cells=cells,
    then=then,
    names=NAMES,
    controls=CONTROLS,
    claims=CLAIMS,
    figures=FIGURES,
    tables=tables,
)
