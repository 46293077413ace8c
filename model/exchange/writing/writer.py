"""A QONNX graph while it is written: channels first, every tensor with its shape.

All tensors are float32 and hold levels or sums, which are integers; every scale is 1.
"""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ....hw.errors import FormatError
from ....hw.numbers.formats import Bipolar, Fixed, Format, MiniFloat, PowerOfTwo

if TYPE_CHECKING:  # the extra may not be installed
    from onnx import ModelProto

__all__ = ["DOMAIN", "GraphWriter", "is_sayable"]

DOMAIN = "qonnx.custom_op.general"
OPSET = 13
IR_VERSION = 8


def is_sayable(fmt: Format) -> bool:
    """Tell whether QONNX has the format: a signed ``Quant`` of one bit is bipolar, not ``int1``."""
    return fmt != Fixed(1)


class GraphWriter:
    """Nodes, constants and shapes.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Of every tensor.
    """

    def __init__(self) -> None:
        self._nodes, self._constants = [], []
        self._converted: dict[tuple[str, str], str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def _add(self, wanted: str, shape: tuple[int, ...]) -> str:
        """Return the name of a new tensor: the one wanted, or one like it."""
        name, number = wanted, 1
        while not name or name in self.shapes:
            number += 1
            name = f"{wanted}_{number}"
        self.shapes[name] = shape
        return name

    def given(self, name: str, shape: tuple[int, ...]) -> str:
        """Add an input of the graph."""
        return self._add(name, shape)

    def constant(self, name: str, values: ArrayLike, dtype: type = np.float32) -> str:
        """Add a constant, by default of float32."""
        from onnx import numpy_helper

        array = np.array(values, dtype, order="C")
        name = self._add(name, array.shape)
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        name: str,
        shape: tuple[int, ...] | None = None,
        *,
        domain: str = "",
        **attributes: object,
    ) -> str:
        """Add a node, and return its output, by default of the shape of the first input."""
        from onnx import helper

        name = self._add(name, self.shapes[inputs[0]] if shape is None else shape)
        node = helper.make_node(kind, inputs, [name], name=name, domain=domain)
        given = [helper.make_attribute(*each) for each in sorted(attributes.items())]
        node.attribute.extend(given)
        self._nodes.append(node)
        return name

    # --- numbers ---------------------------------------------------------------------------------

    def quantised(
        self,
        tensor: str,
        fmt: Format,
        name: str,
        *,
        narrow: bool = False,
        widths: Sequence[int] | None = None,
    ) -> str:
        """Add the quantiser of a format, scale 1, which lets the format's levels pass.

        ``widths`` are those of rows along the first axis, where they are not all the format's.
        """
        scale = self.constant(f"{name}/scale", 1.0)
        if fmt == Bipolar():
            return self.node("BipolarQuant", [tensor, scale], name, domain=DOMAIN)
        if not isinstance(fmt, Fixed):
            return self._float_quantised(tensor, fmt, name, scale)
        zero = self.constant(f"{name}/zero", 0)
        width: ArrayLike = fmt.width + (not is_sayable(fmt))
        if widths is not None:
            width = np.reshape(widths, (-1, *[1] * (len(self.shapes[tensor]) - 1)))
        bits = self.constant(f"{name}/bits", width)
        return self.node(
            "Quant",
            [tensor, scale, zero, bits],
            name,
            domain=DOMAIN,
            signed=int(fmt.signed),
            narrow=int(narrow),
            rounding_mode="ROUND",
        )

    def _float_quantised(self, tensor: str, fmt: Format, name: str, scale: str) -> str:
        """Add the quantiser of a format with an exponent; its smallest number is 1."""
        if isinstance(fmt, PowerOfTwo):
            exponent, mantissa = fmt.width - 1, 0
        elif isinstance(fmt, MiniFloat):
            exponent, mantissa = fmt.exponent, fmt.mantissa
        else:
            raise FormatError(f"QONNX has no quantiser for {fmt}")
        values = {
            "exponent": exponent,
            "mantissa": mantissa,
            "bias": 1 - mantissa,
            "largest": fmt.max_level,
        }
        parameters = [self.constant(f"{name}/{key}", value) for key, value in values.items()]
        return self.node(
            "FloatQuant",
            [tensor, scale, *parameters],
            name,
            domain=DOMAIN,
            has_inf=0,
            has_nan=0,
            has_subnormal=int(mantissa > 0),
            saturation=1,
            rounding_mode="ROUND",
        )

    def per_channel(self, tensor: str, values: np.ndarray, name: str) -> str:
        """Add a constant that broadcasts against ``tensor``: a number, or one a channel."""
        if len(values) == 1:
            return self.constant(name, values[0])
        rank = len(self.shapes[tensor])
        return self.constant(name, values.reshape(1, -1, *[1] * (rank - 2)))

    # --- shapes ----------------------------------------------------------------------------------

    def image(self, tensor: str) -> str:
        """Return a tensor with height and width, which a vector gets as 1 and 1."""
        batch, *rest = self.shapes[tensor]
        if len(rest) == 3:
            return tensor
        if (tensor, "image") not in self._converted:
            # 0 keeps the batch, whatever its size
            shape = self.constant(f"{tensor}/shape", [0, -1, 1, 1], np.int64)
            self._converted[tensor, "image"] = self.node(
                "Reshape", [tensor, shape], f"{tensor}/image", (batch, rest[0], 1, 1)
            )
        return self._converted[tensor, "image"]

    def vector(self, tensor: str) -> str:
        """Return a tensor without height and width."""
        batch, *rest = self.shapes[tensor]
        if len(rest) == 1:
            return tensor
        if (tensor, "vector") not in self._converted:
            self._converted[tensor, "vector"] = self.node(
                "Flatten", [tensor], f"{tensor}/vector", (batch, prod(rest)), axis=1
            )
        return self._converted[tensor, "vector"]

    def padded(self, image: str, padding: tuple[int, ...], level: int) -> str:
        """Return an image with ``padding``, top, left, bottom and right, of a level."""
        batch, channels, height, width = self.shapes[image]
        top, left, bottom, right = padding
        name = f"{image}/padded"
        pads = self.constant(f"{name}/pads", [0, 0, top, left, 0, 0, bottom, right], np.int64)
        shape = (batch, channels, height + top + bottom, width + left + right)
        inputs = [image, pads, self.constant(f"{name}/level", level)]
        return self.node("Pad", inputs, name, shape, mode="constant")

    # --- the whole -------------------------------------------------------------------------------

    def model(
        self, name: str, inputs: str, outputs: Sequence[str], metadata: dict[str, str]
    ) -> "ModelProto":
        """Return the ``ModelProto``."""
        from onnx import TensorProto, helper

        constants = {each.name: each.data_type for each in self._constants}
        infos = {
            tensor: helper.make_tensor_value_info(
                tensor, constants.get(tensor, TensorProto.FLOAT), shape
            )
            for tensor, shape in self.shapes.items()
        }
        ends = {end: infos.pop(end) for end in (inputs, *outputs)}
        graph = helper.make_graph(
            self._nodes,
            name or "network",
            [ends[inputs]],
            [ends[output] for output in outputs],
            self._constants,
            value_info=list(infos.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)],
            ir_version=IR_VERSION,
            producer_name="narrowgauge",
            producer_version=metadata["narrowgauge.version"],
        )
        helper.set_model_props(model, metadata)
        return model
