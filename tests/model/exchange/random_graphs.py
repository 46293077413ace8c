"""Random QONNX graphs of all that the importer reads, and images for them."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from narrowgauge.hw.numbers.formats import Fixed

from .oracle import Oracle, ends

DOMAINS = ["qonnx.custom_op.general"] * 4 + ["onnx.brevitas", "finn.custom_op.general"]
MODES = ["ROUND"] * 4 + ["HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
FORKED = ("Quant", "IntQuant", "BipolarQuant")
SAMPLE = 6  # images that scales are chosen by


@dataclass
class Drawn:
    """A graph, images, and what the import must be told."""

    model: onnx.ModelProto
    images: np.ndarray
    options: dict
    logits: str
    quantised_end: bool
    ends_in: str
    tags: set = field(default_factory=set)


def random_graph(draws, *, dyadic, small=False):
    """Return a `Drawn`; ``draws`` is a `random.Random`, or hypothesis's.

    A ``dyadic`` one has powers of two for all its scales; a ``small`` one is quickly simulated.
    """
    return _Builder(draws, dyadic, small).graph()


class _Builder:
    def __init__(self, draws, dyadic, small):
        self.r, self.dyadic, self.small = draws, dyadic, small
        self.rng = np.random.default_rng(draws.getrandbits(32))
        self.nodes, self.constants, self.tags = [], {}, set()
        self.annotated = {}
        self.domain = draws.choice(DOMAINS)
        self.truncs = draws.choice([1, 2]) if self.domain == DOMAINS[0] else 1
        self.history = []  # quantised tensors: name, scale, low code, high code, zero point

    # --- small things --------------------------------------------------------------------------

    def chance(self, probability):
        return self.r.random() < probability

    def constant(self, array, dtype: Any = np.float32):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array, dtype)
        for oracle in self.sample:
            oracle.constants[name] = self.constants[name]
        return name

    def node(self, op, inputs, domain="", **attributes):
        name = f"t{len(self.nodes)}"
        node = helper.make_node(
            op, inputs, [name], name=f"{op}_{len(self.nodes)}", domain=domain, **attributes
        )
        self.nodes.append(node)
        self.tags.add(op)
        for oracle in self.sample:
            oracle.step(node)
        return name

    def shape(self, name) -> tuple[int, ...]:
        return self.sample[0].get(name).shape

    def spread(self, name):
        values = np.concatenate([o.get(name).astype(np.float64).ravel() for o in self.sample])
        return float(np.sqrt((values**2).mean())) or 1.0

    def number(self, size):
        """About ``size``: a power of two, or anything."""
        if self.dyadic:
            return 2.0 ** round(math.log2(size) + self.r.choice([-1, 0, 0, 1]))
        kind = self.r.choice(["any", "any", "any", "power", "ratio"])
        if kind == "power":
            return 2.0 ** round(math.log2(size))
        if kind == "ratio" and self.history:  # scales with exact ratios have exact ties
            scale = float(np.ravel(self.r.choice(self.history)[1])[0])
            return float(np.float32(scale * 2.0 ** round(math.log2(size / scale))))
        return float(np.float32(size * math.exp(self.r.uniform(-0.7, 0.7))))

    def numbers(self, size, count):
        return np.array([self.number(size) for _ in range(count)], np.float32)

    # --- the graph -----------------------------------------------------------------------------

    def graph(self):
        r = self.r
        self.sample = []
        kind = r.choice(["image", "image", "image", "line", "vector", "last"])
        side, deep = (4, 3) if self.small else (6, 4)
        channels = r.randint(1, deep)
        if kind == "vector":
            shape = (r.randint(1, 10),)
        elif kind == "line":
            shape = (channels, r.randint(1, 9))
        elif kind == "image":
            shape = (channels, r.randint(1, side), r.randint(1, side))
        else:
            shape = (r.randint(1, side), r.randint(1, side), channels)
        self.input_shape = (1, *shape)
        self.sample = [Oracle(self.constants, exact=False) for _ in range(SAMPLE)]
        pixels = self.rng.normal(size=(SAMPLE, *shape)) * 1.5
        for oracle, image in zip(self.sample, pixels, strict=True):
            oracle.values["x"] = image[None]
        options = {}
        self.prepared = self.chance(0.9)
        if not self.prepared:
            name = "x"
            bits, signed = r.randint(1, 8), self.chance(0.5)
            fmt = Fixed(bits, signed) if bits > 1 else Fixed(1, signed=False)
            scale = self.number(2 / (fmt.max_level + 1))
            options = {"input_format": fmt, "input_scale": scale}
            self.history.append(("x", scale, fmt.min_level, fmt.max_level, 0))
            for oracle in self.sample:
                levels = np.rint(oracle.values["x"] / scale).clip(fmt.min_level, fmt.max_level)
                oracle.values["x"] = levels * scale
            if kind == "last":
                name = self.node("Transpose", [name], perm=[0, 3, 1, 2])
        else:
            name = "x"
            if kind == "last" and self.chance(0.5):
                name, kind = self.node("Transpose", [name], perm=[0, 3, 1, 2]), "image"
            if self.chance(0.4):
                for _ in range(r.randint(1, 2)):
                    name = self.affine(name, axis=-1 if kind == "last" else 1)
            name = self.quantiser(name, at_input=True)
            if kind == "last":
                name = self.node("Transpose", [name], perm=[0, 3, 1, 2])
        end, quantised_end = self.layers(name)
        if math.prod(self.shape(end)) != self.shape(end)[1]:  # it ends at one position
            if not quantised_end:
                end = self.quantiser(end)
            end = self._dense(end) if self.chance(0.6) else self._global(end)
            quantised_end = self.chance(0.5)
            if quantised_end:
                end = self.quantiser(self.post(end, pools=False))
        logits = end
        ending = r.choice(["", "", "", "Softmax", "TopK", "ArgMax"])
        if math.prod(self.shape(end)) == 1 or len(self.shape(end)) != 2:
            ending = ""
        end, ends_in = self.ending(end, ending)
        model = self.model(end)
        return Drawn(model, self.images(options), options, logits, quantised_end, ends_in,
                     self.tags)  # fmt: skip

    def ending(self, name, kind):
        if not kind:
            return name, ""
        attributes: dict[str, Any] = {"axis": -1}
        more = []
        if kind == "ArgMax":
            attributes["keepdims"] = self.r.randint(0, 1)
        elif kind != "Softmax":
            more = [self.constant([1], np.int64)]
        outputs = ["end"] if kind != "TopK" else ["best", "end"]
        self.nodes.append(
            helper.make_node(kind, [name, *more], outputs, name=f"{kind}_end", **attributes)
        )
        return "end", kind

    def model(self, end):
        dtype = TensorProto.INT64 if self.nodes[-1].op_type in ("TopK", "ArgMax") else 1
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.input_shape)],
            [helper.make_tensor_value_info(end, dtype, None)],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        for name, datatype in self.annotated.items():
            graph.quantization_annotation.append(
                onnx.TensorAnnotation(
                    tensor_name=name,
                    quant_parameter_tensor_names=[
                        onnx.StringStringEntryProto(key="finn_datatype", value=datatype)
                    ],
                )
            )
        version = self.truncs if self.domain == DOMAINS[0] else 1
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(self.domain, version)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def images(self, options):
        """Normal ones, ones on the ties of the first quantiser, and ones far outside."""
        shape, rng = self.input_shape[1:], self.rng
        if options:
            fmt, scale = options["input_format"], options["input_scale"]
            levels = rng.integers(fmt.min_level, fmt.max_level + 1, (4, *shape))
            return (levels * np.float32(scale)).astype(np.float32)
        _, scale, low, high, zero = self.history[0]
        codes = rng.integers(2 * low - 2, 2 * high + 3, (1, *shape)) / 2 - zero
        on_ties = codes * scale
        return np.concatenate(
            [
                rng.normal(size=(2, *shape)) * 1.5,
                rng.normal(size=(1, *shape)) * rng.choice([0.0, 6.0, 1e4]),
                on_ties,
            ]
        ).astype(np.float32)

    # --- layers --------------------------------------------------------------------------------

    def layers(self, name):
        """Up to four layers; return the name of the end, and whether a quantiser is there."""
        r = self.r
        count = r.randint(1, 2 if self.small else 4)
        for index in range(count):
            last = index == count - 1
            stated = name not in [each[0] for each in self.history[1:]] and not self.prepared
            kinds = ["conv"] * 5 + ["dense"] * 2 + ["max", "average", "global", "affine", "requant"]
            name, before = self.residual(name, pools=not last), name
            if name != before:
                if not last:
                    continue
                return name, True
            if len(self.shape(name)) == 2:
                kinds = ["dense"] * 5 + ["affine", "requant"]
            if last:
                kinds = [k for k in kinds if k in ("conv", "dense", "average", "global", "requant")]
            if stated:  # its values are levels, and nothing else
                kinds = [k for k in kinds if k not in ("affine", "requant")]
            kind = r.choice(kinds)
            if kind == "max":
                name = self.max_pool(name)
            elif kind == "affine":
                name = self.affine(name, per_channel=0.1)
            elif kind == "requant":
                name = self.quantiser(self.post(name, pools=False))
            else:
                name = getattr(self, f"_{kind}")(name)
                if self.chance(0.03) and not last:
                    continue  # whole sums that are read as they are
                if last and self.chance(0.35):
                    if self.chance(0.3):
                        name = self.affine(name, positive=True)
                    return name, False
                truncs = kind in ("average", "global") and self.chance(0.4)
                name = (
                    self.trunc(name) if truncs else self.quantiser(self.post(name, pools=not last))
                )
        return name, self.nodes[-1].op_type in ("Quant", "IntQuant", "BipolarQuant", "Trunc")

    def residual(self, name, pools):
        """Add an earlier quantised tensor of the same shape, and quantise."""
        if not self.history or name != self.history[-1][0] or not self.chance(0.35):
            return name
        same = [each for each in self.history if self.shape(each[0]) == self.shape(name)]
        other = self.r.choice(same)
        if len(self.history) > 1 and self.nodes[-1].op_type in FORKED and self.chance(0.15):
            # two quantisers read the same sums
            self.quantiser(
                self.post(self.nodes[-1].input[0], pools=False, per_channel=0.0), per_channel=0.0
            )
            other = self.history[-1]
        pair = [other[0], name]
        self.r.shuffle(pair)
        total = self.node("Add", pair)
        return self.quantiser(self.post(total, pools=pools, per_channel=0.0), per_channel=0.0)

    def _conv(self, name):
        r = self.r
        shape = self.shape(name)
        size, channels = shape[2:], shape[1]
        if self.chance(0.08) and len(size) == 2:
            name, padded = self.pad(name)
            if padded:
                size = self.shape(name)[2:]
        keeps = self.chance(0.35)  # so that something can be added
        kernel = [r.choice([1, 3] if keeps else [1, 2, 3, 4]) for _ in size]
        strides = [1 if keeps else r.choice([1, 1, 2, 3]) for _ in size]
        groups = r.choice([g for g in range(1, channels + 1) if channels % g == 0] + [1, channels])
        outputs = channels if keeps else groups * r.randint(1, max(1, 4 // groups))
        attributes = {"kernel_shape": kernel, "strides": strides, "group": groups}
        if keeps:
            attributes["pads"] = [k // 2 for k in kernel] * 2
        elif self.chance(0.25):
            attributes["auto_pad"] = r.choice(["SAME_UPPER", "SAME_LOWER"])
        else:
            pads = [[0, 0] if self.chance(0.4) else [r.randint(0, k - 1), r.randint(0, k - 1)]
                    for k in kernel]  # fmt: skip
            for axis, (each, length) in enumerate(zip(kernel, size, strict=True)):
                if length + sum(pads[axis]) < each:
                    pads[axis] = [each - 1, each - 1]
            attributes["pads"] = [one for one, _ in pads] + [two for _, two in pads]
        weights = self.weights((outputs, channels // groups, *kernel), 0)
        inputs = [name, weights]
        if self.chance(0.4):
            inputs.append(self.bias(outputs))
        return self.node("Conv", inputs, **attributes)

    def bias(self, outputs):
        size = self.number(0.5)
        values = self.rng.integers(-8, 9, outputs) * size
        if not self.dyadic:
            values = self.rng.normal(size=outputs) * size
        name = self.constant(values)
        if self.chance(0.3):
            scale = self.constant(self.number(size / 16))
            name = self.node(
                "Quant", [name, scale, self.constant(0.0), self.constant(8.0)],
                domain=self.domain, signed=1, narrow=0, rounding_mode="ROUND",
            )  # fmt: skip
        return name

    def pad(self, name):
        pads = [0, 0, *(self.r.randint(0, 1) for _ in range(2)), 0, 0,
                *(self.r.randint(0, 1) for _ in range(2))]  # fmt: skip
        return self.node("Pad", [name, self.constant(pads, np.int64), self.constant(0.0)]), True

    def _dense(self, name):
        r = self.r
        shape = self.shape(name)
        if len(shape) > 2:
            if len(shape) == 4 and self.chance(0.25):
                name = self.node("Transpose", [name], perm=[0, 2, 3, 1])
            if self.chance(0.5):
                name = self.node("Flatten", [name], axis=1)
            else:
                wanted = r.choice([[1, -1], [0, -1], [1, math.prod(shape)]])
                name = self.node("Reshape", [name, self.constant(wanted, np.int64)])
        inputs, outputs = self.shape(name)[1], r.randint(1, 6)
        kind = r.choice(["MatMul", "MatMul", "Gemm"])
        turned = self.chance(0.5)
        weights = self.weights(
            (outputs, inputs) if turned else (inputs, outputs), 0 if turned else 1
        )
        if kind == "MatMul":
            if turned and weights in self.annotated:  # which a Transpose would lose
                self.constants[weights] = self.constants[weights].T
                for oracle in self.sample:
                    oracle.constants[weights] = self.constants[weights]
            elif turned:
                weights = self.node("Transpose", [weights], perm=[1, 0])
            name = self.node("MatMul", [name, weights])
            return self.node("Add", [name, self.bias(outputs)]) if self.chance(0.3) else name
        attributes: dict[str, Any] = {"transB": int(turned)}
        if self.chance(0.3):
            attributes |= {"alpha": self.number(0.5), "beta": self.number(2.0)}
        more = [self.bias(outputs)] if self.chance(0.6) else []
        return self.node("Gemm", [name, weights, *more], **attributes)

    def max_pool(self, name):
        size = self.shape(name)[2:]
        attributes: dict[str, Any] = {}
        kernel = [self.r.randint(1, min(3, each)) for each in size]
        attributes["strides"] = [self.r.randint(1, 3) for _ in size]
        attributes["kernel_shape"] = kernel
        if self.chance(0.4):
            attributes["pads"] = [self.r.randint(0, each - 1) for each in kernel * 2]
        if self.chance(0.3) and _same_in_all_opsets(size, attributes):
            attributes["ceil_mode"] = 1
        return self.node("MaxPool", [name], **attributes)

    def _average(self, name):
        size, r = self.shape(name)[2:], self.r
        kernel = [r.randint(1, min(3, each)) for each in size]
        attributes: dict[str, Any] = {"kernel_shape": kernel}
        attributes["strides"] = [r.randint(1, 3) for _ in size]
        if self.chance(0.3):
            attributes["pads"] = [r.randint(0, each - 1) for each in kernel * 2]
            attributes["count_include_pad"] = r.choice([1, 1, 1, 0])
        if self.chance(0.15) and _same_in_all_opsets(size, attributes):
            attributes["ceil_mode"] = 1
        self.taps = math.prod(kernel)
        return self.node("AveragePool", [name], **attributes)

    def _global(self, name):
        self.taps = math.prod(self.shape(name)[2:])
        if len(self.shape(name)) == 4 and self.chance(0.3):
            return self.node("ReduceMean", [name], axes=[2, 3], keepdims=self.r.randint(0, 1))
        return self.node("GlobalAveragePool", [name])

    # --- between sums and quantiser ------------------------------------------------------------

    def post(self, name, *, pools=True, per_channel=0.5):
        for _ in range(self.r.choice([0, 0, 1, 1, 1, 2, 3])):
            kinds = ["affine", "affine", "norm", "norm", "relu", "relu", "clip", "nonlinear"]
            if len(self.shape(name)) > 2 and pools:
                kinds += ["max", "max"]
            kind = self.r.choice(kinds)
            if kind == "affine" or (kind == "norm" and not per_channel):
                name = self.affine(name, per_channel=per_channel)
            elif kind == "norm":
                name = self.norm(name)
            elif kind == "relu":
                name = self.node("Relu", [name])
            elif kind == "clip":
                name = self.clip(name)
            elif kind == "max":
                name = self.max_pool(name)
            elif self.chance(0.4):
                name = self.then(name)
        return name

    def then(self, name):
        kind = self.r.choice(["LeakyRelu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "other"])
        if kind == "LeakyRelu":
            return self.node(kind, [name], alpha=self.number(0.125))
        if kind == "PRelu":
            shape = self.shape(name)
            count = shape[1] if self.chance(0.5) else 1
            slopes = self.numbers(0.125, count).reshape(count, *[1] * (len(shape) - 2))
            return self.node(kind, [name, self.constant(slopes)])
        if kind == "other":
            kind = self.r.choice(["Elu", "Softsign", "Softplus", "Identity", "Dropout"])
        return self.node(kind, [name])

    def affine(self, name, *, axis=1, per_channel=0.4, positive=False):
        shape = self.shape(name)
        op = self.r.choice(["Mul", "Add", "Sub", "Div"])
        size = 1.0 if op in ("Mul", "Div") else self.spread(name)
        many = self.chance(per_channel)
        count = shape[axis] if many else 1
        values = self.numbers(size, count)
        if not positive or op in ("Add", "Sub"):
            values *= self.rng.choice([1, 1, 1, -1], count).astype(np.float32)
        if op == "Mul" and not positive and many and self.chance(0.05):
            values[0] = 0.0
        places = [1] * len(shape)
        places[axis] = count
        if self.chance(0.5):
            places = places[1:]
        if count == 1 and self.chance(0.5):
            places = []
        operands = [name, self.constant(values.reshape(places))]
        if op in ("Add", "Mul") and self.chance(0.2):
            operands.reverse()
        return self.node(op, operands)

    def norm(self, name):
        count = self.shape(name)[1]
        size = self.spread(name)
        gamma = self.numbers(1.0, count) * self.rng.choice([1, 1, 1, -1], count)
        special = self.r.random()
        if special < 0.1:
            gamma[self.r.randrange(count)] = 0.0
        elif special < 0.2:
            gamma[self.r.randrange(count)] *= 1e-6
        mean, beta = (self.rng.normal(size=count) * each for each in (size / 2, 0.5))
        variance = self.numbers(size * size, count)
        if self.dyadic:
            mean, beta = (np.rint(each * 8) / 8 for each in (mean, beta))
        arrays = [self.constant(each) for each in (gamma, beta, mean, variance)]
        return self.node("BatchNormalization", [name, *arrays])

    def clip(self, name):
        if self.chance(0.25):
            return self.node("HardSigmoid", [name], alpha=self.number(0.25), beta=0.5)
        low, high = sorted(self.rng.normal(size=2) * self.spread(name))
        low, high = (np.rint(each * 16) / 16 if self.dyadic else each for each in (low, high))
        inputs = [name, self.constant(low), self.constant(high)]
        return self.node("Clip", inputs[: self.r.choice([2, 3, 3])])

    # --- quantisers ----------------------------------------------------------------------------

    def quantiser(self, name, *, at_input=False, per_channel=0.03):
        turned = not at_input and len(self.shape(name)) == 4 and self.chance(0.05)
        if turned:
            name = self.node("Transpose", [name], perm=[0, 2, 3, 1])
        name = self._quantiser(name, 0 if turned or at_input else per_channel)
        if turned:
            entry = self.history.pop()
            name = self.node("Transpose", [name], perm=[0, 3, 1, 2])
            self.history.append((name, *entry[1:]))
        return name

    def _quantiser(self, name, per_channel):
        r = self.r
        size = self.spread(name)
        if self.chance(0.12):
            scale = self.number(size)
            found = self.node("BipolarQuant", [name, self.constant(scale)], domain=self.domain)
            self.history.append((found, scale, -1, 1, 0))
            return found
        bits, signed, narrow = r.randint(1, 8), self.chance(0.6), self.chance(0.3)
        if bits == 1 and not signed:
            narrow = False
        low, high = ends(bits, signed, narrow)
        zero = r.randint(low, high) if self.chance(0.2) and not (bits == 1 and signed) else 0
        scale = self.number(2 * size / max(high, 1)) * r.choice([1, 1, 1, 0.5, 4])
        if self.history and self.chance(0.2):
            scale = float(np.ravel(r.choice(self.history)[1])[0]) * r.choice([1, 1, 2, 3])
        scale = np.float32(scale)
        if self.chance(per_channel):
            count = self.shape(name)[1]
            places = [1, count, *[1] * (len(self.shape(name)) - 2)]
            scale = self.numbers(float(scale), count).reshape(places)
        op = r.choice(["Quant", "Quant", "IntQuant"]) if self.domain == DOMAINS[0] else "Quant"
        found = self.node(
            op,
            [name, *(self.constant(each) for each in (scale, zero, bits))],
            domain=self.domain,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode=r.choice(MODES),
        )
        self.history.append((found, scale, low, high, zero))
        return found

    def trunc(self, name):
        """A Trunc behind an average, times its taps or not."""
        r = self.r
        if not self.history:
            return self.quantiser(name)
        _, scale, low, high, _ = self.history[-1]
        scale = np.ravel(scale)[0]
        if self.chance(0.7):
            name = self.node("Mul", [name, self.constant(float(self.taps))])
        bits = max(int(max(abs(low), high) * self.taps).bit_length() + (low < 0), 2)
        out = max(1, bits - r.randint(0, 3))
        zero = r.choice([0, 0, 0, 1])
        mode = r.choice(["FLOOR", "FLOOR", "ROUND", "CEIL", "DOWN", "HALF_UP"])
        given = [name, *(self.constant(each) for each in (scale, zero, bits))]
        if self.truncs == 1:
            found = self.node(
                "Trunc", [*given, self.constant(out)], domain=self.domain, rounding_mode=mode
            )
        else:
            power = 2.0 ** r.randint(0, 3)
            found = self.node(
                "Trunc", [*given, self.constant(scale * power), self.constant(out)],
                domain=self.domain, rounding_mode=mode, signed=int(low < 0), narrow=r.randint(0, 1),
            )  # fmt: skip
            scale = scale * power
        self.history.append((found, scale, low, high, 0))
        return found

    def weights(self, shape, axis):
        r = self.r
        values = self.rng.normal(size=shape)
        if self.chance(0.05):
            bits = r.randint(2, 5)
            levels = values.clip(-1, 1) * (2 ** (bits - 1) - 1)
            name = self.constant(np.rint(levels))
            self.annotated[name] = f"INT{bits}"
            return name
        name = self.constant(values)
        many = self.chance(0.4)
        count = shape[axis] if many else 1
        places = [1] * len(shape)
        places[axis] = count
        kind = r.choice(["int", "int", "int", "int", "bipolar", "float"])
        if kind == "bipolar":
            scale = self.constant(self.numbers(0.5, count).reshape(places))
            return self.node("BipolarQuant", [name, scale], domain=self.domain)
        if kind == "float":
            exponent, mantissa = r.randint(2, 4), r.randint(0, 3)
            bias = 2 ** (exponent - 1) - 1
            largest = (2 - 2.0**-mantissa) * 2.0 ** (2**exponent - 1 - bias)
            scale = self.constant(self.numbers(0.5, count).reshape(places))
            numbers = [self.constant(each) for each in (exponent, mantissa, bias, largest)]
            return self.node(
                "FloatQuant", [name, scale, *numbers], domain=self.domain, has_inf=0, has_nan=0,
                has_subnormal=1, saturation=1, rounding_mode="ROUND",
            )  # fmt: skip
        bits, signed, narrow = r.randint(1, 8), self.chance(0.85), self.chance(0.5)
        if bits == 1 and not signed:
            narrow = False
        low, high = ends(bits, signed, narrow)
        zero = r.randint(low, high) if self.chance(0.1) and not (bits == 1 and signed) else 0
        scale = self.numbers(2 / max(high, 1), count).reshape(places if many else [])
        return self.node(
            r.choice(["Quant", "IntQuant"]) if self.domain == DOMAINS[0] else "Quant",
            [name, self.constant(scale), self.constant(zero), self.constant(bits)],
            domain=self.domain, signed=int(signed), narrow=int(narrow),
            rounding_mode=r.choice(MODES),
        )  # fmt: skip


def _same_in_all_opsets(size, attributes):
    """Whether no window of ``ceil_mode`` starts in the padding: old shape inferences keep those."""
    count = len(size)
    kernel, strides = attributes["kernel_shape"], attributes["strides"]
    pads = attributes.get("pads", [0] * 2 * count)
    for axis in range(count):
        room = size[axis] + pads[axis] + pads[axis + count] - kernel[axis]
        if math.ceil(room / strides[axis]) * strides[axis] >= size[axis] + pads[axis]:
            return False
    return True
