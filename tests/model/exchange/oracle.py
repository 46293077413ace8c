"""A slow interpreter of QONNX graphs in Fractions, written from the operators' definitions.

It knows nothing of the importer. Values are object arrays of `Fraction`; a sigmoid or another
nonlinear function gives Python floats, and so does what follows it, up to the next quantiser.
"""

import math
from fractions import Fraction

import numpy as np
from onnx import helper, numpy_helper

QUANTISERS = ("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc")
ENDINGS = ("Softmax", "LogSoftmax", "TopK", "ArgMax")


def fractions(array):
    """An object array of exact numbers."""
    array = np.asarray(array)
    if array.dtype == object:
        return array
    flat = [
        Fraction(each) if math.isfinite(each) else each
        for each in array.astype(np.float64).ravel().tolist()
    ]
    return np.array([*flat, None], object)[:-1].reshape(array.shape)


def _away(function):
    """Round magnitudes."""
    return lambda x: function(x) if x >= 0 else -function(-x)


ROUNDINGS = {
    "ROUND": round,
    "HALF_EVEN": round,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": _away(math.ceil),
    "DOWN": math.trunc,
    "HALF_UP": _away(lambda x: math.floor(x + Fraction(1, 2))),
    "HALF_DOWN": _away(lambda x: math.ceil(x - Fraction(1, 2))),
}


def rounded(array, mode):
    """Integers, in an object array."""
    return np.frompyfunc(ROUNDINGS[mode.upper()], 1, 1)(array)


def limited(array, low, high):
    return np.minimum(np.maximum(array, low), high)


def ends(bits, signed, narrow):
    """The codes of a QONNX quantiser."""
    if not signed:
        return 0, 2**bits - 1 - narrow
    return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1


class Oracle:
    """The values of a graph for one image, of shape (1, ...).

    Attributes
    ----------
    values : dict
        Tensors by name.
    ratios : dict
        What each quantiser of activations rounds, before it is clipped.
    """

    def __init__(self, constants, exact=True):
        self.exact = exact
        self.constants = dict(constants)
        self.values, self.ratios = {}, {}

    def get(self, name):
        if name in self.values:
            return self.values[name]
        return self._numbers(self.constants[name])

    def _numbers(self, array):
        if self.exact or array.dtype == object:
            return fractions(array)
        return np.asarray(array, np.float64)

    def run(self, graph, image, before_next=None):
        """Run all nodes; ``before_next(node)`` is called after each one."""
        (name,) = [i.name for i in graph.input if i.name not in self.constants]
        self.values[name] = self._numbers(image)
        for node in graph.node:
            if node.op_type in ENDINGS:
                break
            self.step(node)
            if before_next:
                before_next(node)
        return self

    def step(self, node):
        names = [name for name in node.input if name]
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values = {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}
        if node.op_type in QUANTISERS and node.input[0] in self.constants:
            self.constants[node.output[0]] = self._quantised_weights(node, values)
            return
        function = getattr(self, f"_{node.op_type.lower()}")
        given = [self.get(name) if name else None for name in node.input]
        if node.op_type in QUANTISERS:
            found = function(node, values, *given)
        else:
            found = function(values, *given)
        if all(name in self.constants for name in names):
            self.constants[node.output[0]] = found
        else:
            self.values[node.output[0]] = found if self.exact else found.astype(np.float64)

    # --- quantisers ----------------------------------------------------------------------------

    def _quant(self, node, values, x, scale, zero, bits):
        bits = int(bits.ravel()[0])
        ratio = self.ratios[node.output[0]] = x / scale + zero
        if bits == 1 and values["signed"]:
            return (np.where(ratio >= 0, 1, -1).astype(object) - zero) * scale
        low, high = ends(bits, values["signed"], values["narrow"])
        codes = rounded(limited(ratio, low, high), values.get("rounding_mode", "ROUND"))
        return (codes - zero) * scale

    _intquant = _quant

    def _bipolarquant(self, node, values, x, scale):
        self.ratios[node.output[0]] = x / scale
        return np.where(x >= 0, 1, -1).astype(object) * scale

    def _trunc(self, node, values, x, scale, zero, bits, *more):
        mode = values.get("rounding_mode", "FLOOR")
        codes = rounded(x / scale + zero, "ROUND")
        if len(more) == 1:
            divisor = Fraction(2) ** int(bits.ravel()[0] - more[0].ravel()[0])
            ratio = self.ratios[node.output[0]] = codes * (1 / divisor)
            return (rounded(ratio, mode) - zero) * scale
        out_scale, out_bits = more
        power = round(math.log2(out_scale.ravel()[0] / scale.ravel()[0]))
        divisor = Fraction(2) ** power
        ratio = self.ratios[node.output[0]] = codes * (1 / divisor)
        low, high = ends(int(out_bits.ravel()[0]), values["signed"], values["narrow"])
        return (rounded(limited(ratio, low, high), mode) - zero * (1 / divisor)) * out_scale

    def _quantised_weights(self, node, values):
        """In float32, as weights are: only codes times scale is exact."""
        x, scale, *rest = (np.asarray(self.constants[name], np.float32) for name in node.input)
        spread = self._numbers(scale)
        if node.op_type == "BipolarQuant":
            return np.where(x >= 0, 1, -1).astype(object) * spread
        if node.op_type == "FloatQuant":
            return fractions(_minifloat(x / scale, *rest)) * spread
        zero, bits = rest
        ratio = x / scale + zero
        if bits == 1 and values["signed"]:
            return (np.where(ratio >= 0, 1, -1) - fractions(zero)) * spread
        low, high = ends(int(bits), values["signed"], values["narrow"])
        codes = rounded(ratio.clip(low, high).astype(object), values.get("rounding_mode", "ROUND"))
        return (codes - fractions(zero)) * spread

    # --- products ------------------------------------------------------------------------------

    def _product(self, x, w):
        """A matrix product; of Fractions, as one of integers."""
        if x.dtype != object:
            return x @ w.astype(np.float64)
        x, w = fractions(x), fractions(w)
        one = math.lcm(*(each.denominator for each in x.ravel()))
        two = math.lcm(*(each.denominator for each in w.ravel()))
        found = _ints(x, one) @ _ints(w, two)
        return np.asarray(np.frompyfunc(lambda each: Fraction(each, one * two), 1, 1)(found))

    def _matmul(self, values, x, w):
        return self._product(x, w)

    def _gemm(self, values, x, w, c=None):
        w = w.T if values.get("transB") else w
        found = self._product(x, w) * self._number(values.get("alpha", 1.0))
        return found if c is None else found + c * self._number(values.get("beta", 1.0))

    def _number(self, value):
        return Fraction(float(value)) if self.exact else float(value)

    def _conv(self, values, x, w, bias=None):
        line = w.ndim == 3
        if line:
            x, w = x[:, :, None, :], w[:, :, None, :]
        (height, width), groups = w.shape[2:], values.get("group", 1)
        pads, strides = _pads(values, x.shape[2:], (height, width), line)
        image = _surrounded(x[0], pads, x.dtype.type(0) if x.dtype != object else Fraction(0))
        each, inputs = len(w) // groups, w.shape[1]
        rows = []
        for top in range(0, image.shape[1] - height + 1, strides[0]):
            row = []
            for left in range(0, image.shape[2] - width + 1, strides[1]):
                patch = image[:, top : top + height, left : left + width]
                row.append(patch.reshape(groups, -1))
            rows.append(row)
        patches = np.array(rows)  # (y, x, group, inputs of it)
        parts = [
            self._product(
                patches[:, :, g].reshape(-1, inputs * height * width),
                w[g * each : (g + 1) * each].reshape(each, -1).T,
            )
            for g in range(groups)
        ]
        found = np.concatenate(parts, axis=1).T.reshape(1, len(w), *patches.shape[:2])
        if bias is not None:
            found = found + bias.reshape(1, -1, 1, 1)
        return found[:, :, 0] if line else found

    # --- element by element --------------------------------------------------------------------

    def _add(self, values, x, y):
        return x + y

    def _sub(self, values, x, y):
        return x - y

    def _mul(self, values, x, y):
        return x * y

    def _div(self, values, x, y):
        return x / y

    def _identity(self, values, x, *more):
        return x

    _dropout = _cast = _identity

    def _batchnormalization(self, values, x, gamma, beta, mean, variance):
        epsilon = float(values.get("epsilon", 1e-5))
        deviation = self._numbers(np.sqrt(variance.astype(np.float64) + epsilon))
        along = (1, -1, *[1] * (x.ndim - 2))
        gamma, beta, mean, deviation = (
            each.reshape(along) for each in (gamma, beta, mean, deviation)
        )
        return (x - mean) / deviation * gamma + beta

    def _relu(self, values, x):
        return np.maximum(x, 0)

    def _clip(self, values, x, low=None, high=None):
        x = x if low is None else np.maximum(x, low)
        return x if high is None else np.minimum(x, high)

    def _hardsigmoid(self, values, x):
        alpha, beta = self._number(values.get("alpha", 0.2)), self._number(values.get("beta", 0.5))
        return limited(x * alpha + beta, 0, 1)

    def _leakyrelu(self, values, x):
        return np.where(x < 0, x * self._number(values.get("alpha", 0.01)), x)

    def _prelu(self, values, x, slope):
        return np.where(x < 0, x * slope, x)

    def _elu(self, values, x):
        alpha = float(values.get("alpha", 1.0))
        return _floats(lambda v: v if v >= 0 else alpha * math.expm1(v), x)

    def _softsign(self, values, x):
        return _floats(lambda v: v / (1 + abs(v)), x)

    def _softplus(self, values, x):
        return _floats(lambda v: max(v, 0.0) + math.log1p(math.exp(-abs(v))), x)

    def _sigmoid(self, values, x):
        return _floats(lambda v: 1 / (1 + math.exp(-v)) if v > -700 else 0.0, x)

    def _tanh(self, values, x):
        return _floats(math.tanh, x)

    # --- pools ---------------------------------------------------------------------------------

    def _maxpool(self, values, x):
        return self._pooled(values, x, lambda part, count: part.max())

    def _averagepool(self, values, x):
        return self._pooled(values, x, lambda part, count: part.sum() * self._part(count))

    def _part(self, count):
        return Fraction(1, count) if self.exact else 1 / count

    def _pooled(self, values, x, function):
        """Windows clipped to the image; ``count`` are the taps inside image and padding."""
        kernel = tuple(values["kernel_shape"])
        line = len(kernel) == 1
        if line:
            x, kernel = x[:, :, None, :], (1, *kernel)
        size = x.shape[2:]
        pads, strides = _pads(values, size, kernel, line)
        include = values.get("count_include_pad", 0)
        spans = []
        for axis in (0, 1):
            room = size[axis] + pads[axis] + pads[axis + 2]
            ceil = values.get("ceil_mode", 0)
            count = (room - kernel[axis] + (strides[axis] - 1) * ceil) // strides[axis] + 1
            if ceil and (count - 1) * strides[axis] >= size[axis] + pads[axis]:
                count -= 1
            starts = [place * strides[axis] - pads[axis] for place in range(count)]
            spans.append(
                [
                    (max(s, 0), min(s + kernel[axis], size[axis]),
                     min(s + kernel[axis], size[axis] + pads[axis + 2]) - s)
                    for s in starts
                ]
            )  # fmt: skip
        found = np.empty((1, x.shape[1], len(spans[0]), len(spans[1])), x.dtype)
        for channel, (i, (top, bottom, tall)), (j, (left, right, wide)) in (
            (c, a, b)
            for c in range(x.shape[1])
            for a in enumerate(spans[0])
            for b in enumerate(spans[1])
        ):
            part = x[0, channel, top:bottom, left:right]
            found[0, channel, i, j] = function(part, tall * wide if include else part.size)
        return found[:, :, 0] if line else found

    def _globalaveragepool(self, values, x):
        axes = tuple(range(2, x.ndim))
        return x.sum(axis=axes, keepdims=True) * self._part(math.prod(x.shape[2:]))

    def _reducemean(self, values, x, axes=None):
        axes = tuple(int(each) for each in (values["axes"] if axes is None else axes))
        count = math.prod(x.shape[axis] for axis in axes)
        return self._reducesum(values, x, axes) * self._part(count)

    def _reducesum(self, values, x, axes):
        axes = tuple(int(each) for each in axes)
        return x.sum(axis=axes, keepdims=bool(values.get("keepdims", 1)))

    def _reducemax(self, values, x):
        return x.max(axis=tuple(values["axes"]), keepdims=bool(values.get("keepdims", 1)))

    def _globalmaxpool(self, values, x):
        return x.max(axis=tuple(range(2, x.ndim)), keepdims=True)

    # --- moves ---------------------------------------------------------------------------------

    def _squeeze(self, values, x, axes):
        return np.squeeze(x, tuple(int(each) for each in axes))

    def _unsqueeze(self, values, x, axes):
        return np.expand_dims(x, tuple(int(each) for each in axes))

    def _flatten(self, values, x):
        return x.reshape(math.prod(x.shape[: values.get("axis", 1)]), -1)

    def _reshape(self, values, x, shape):
        return x.reshape([x.shape[i] if n == 0 else int(n) for i, n in enumerate(shape)])

    def _resize(self, values, x, roi=None, scales=None, sizes=None):
        """Nearest, by whole factors: each output place reads the one that it lies in."""
        if sizes is None:
            assert scales is not None
            sizes = [round(n * float(s)) for n, s in zip(x.shape, scales, strict=True)]
        for axis, wide in enumerate(int(each) for each in sizes):
            x = x.take([place * x.shape[axis] // wide for place in range(wide)], axis)
        return x

    def _upsample(self, values, x, scales):
        return self._resize(values, x, None, scales)

    def _depthtospace(self, values, x):
        block, (images, channels, height, width) = values["blocksize"], x.shape
        rest = channels // block**2
        found = np.empty((images, rest, height * block, width * block), x.dtype)
        for c, dy, dx in np.ndindex(rest, block, block):
            first = (dy * block + dx) * rest + c
            if values.get("mode", "DCR") == "CRD":
                first = c * block**2 + dy * block + dx
            found[:, c, dy::block, dx::block] = x[:, first]
        return found

    def _transpose(self, values, x):
        return x.transpose(values.get("perm"))

    def _pad(self, values, x, pads=None, fill=None, axes=None):
        value = Fraction(values.get("value", 0.0)) if fill is None else fill.ravel()[0]
        pads = [int(each) for each in (values["pads"] if pads is None else pads)]
        axes = range(x.ndim) if axes is None else [int(each) for each in axes]
        pairs = dict(
            zip(axes, zip(pads[: len(pads) // 2], pads[len(pads) // 2 :], strict=True), strict=True)
        )
        for axis, (before, behind) in pairs.items():
            size = x.shape[axis]
            x = x.take(range(max(-before, 0), size - max(-behind, 0)), axis)
            around = [(0, 0)] * x.ndim
            around[axis] = max(before, 0), max(behind, 0)
            x = np.pad(x, around, constant_values=value)  # type: ignore[arg-type]
        return x


def _ints(array, factor):
    return np.asarray(np.frompyfunc(lambda each: int(each * factor), 1, 1)(array))


def _floats(function, x):
    if x.dtype != object:
        return np.vectorize(function)(x)
    return np.frompyfunc(lambda each: function(float(each)), 1, 1)(x)


def _minifloat(x, exponent, mantissa, bias, largest):
    """Nearest values of a minifloat with subnormals, ties to the even one."""
    exponent, mantissa, bias = (float(each) for each in (exponent, mantissa, bias))
    largest = min(float(largest), (2 - 2**-mantissa) * 2 ** (2**exponent - 1 - bias))

    def one(value):
        magnitude = abs(float(value))
        step = 1 - bias - mantissa
        if magnitude:
            step = max(math.frexp(magnitude)[1] - 1 - mantissa, step)
        return math.copysign(min(round(magnitude / 2**step) * 2.0**step, largest), value)

    return np.vectorize(one, [np.float64])(x)


def _surrounded(image, pads, value):
    """An image of shape (channels, height, width) with rows and columns around it."""
    top, left, bottom, right = pads
    channels, height, width = image.shape
    found = np.full((channels, height + top + bottom, width + left + right), value, image.dtype)
    found[:, top : top + height, left : left + width] = image
    return found


def _pads(values, size, kernel, line):
    """Pads (top, left, bottom, right) and strides."""
    strides, pads = values.get("strides"), values.get("pads")
    strides = tuple(strides or [1] * (2 - line))
    pads = list(pads or [0] * 2 * (2 - line))
    if line:
        strides, pads = (1, *strides), [0, pads[0], 0, pads[1]]
    mode = values.get("auto_pad", "NOTSET")
    if mode.startswith("SAME"):
        for axis in (0, 1):
            count = math.ceil(size[axis] / strides[axis])
            need = max((count - 1) * strides[axis] + kernel[axis] - size[axis], 0)
            small, large = need // 2, need - need // 2
            upper = mode == "SAME_UPPER"
            pads[axis], pads[axis + 2] = (small, large) if upper else (large, small)
    return pads, strides


def constants_of(model):
    """The initialisers of a model."""
    return {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
