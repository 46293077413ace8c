"""TFLite files, built as the schema says."""

import importlib
import math
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tflite", reason="narrowgauge[tflite] is not installed")

import flatbuffers
import tflite

__all__ = ["TfliteFile", "classes", "layers"]

TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "ADD": "AddOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
}
WINDOW = {"Padding": "VALID", "StrideH": 1, "StrideW": 1}
DEFAULTS = {
    "CONV_2D": {**WINDOW, "DilationHFactor": 1, "DilationWFactor": 1},
    "DEPTHWISE_CONV_2D": {**WINDOW, "DilationHFactor": 1, "DilationWFactor": 1},
    "MAX_POOL_2D": {**WINDOW, "FilterHeight": 2, "FilterWidth": 2},
    "AVERAGE_POOL_2D": {**WINDOW, "FilterHeight": 2, "FilterWidth": 2},
    "SOFTMAX": {"Beta": 1.0},
    "MEAN": {"KeepDims": True},
}
ENUMERATIONS = {
    "Padding": tflite.Padding,
    "FusedActivationFunction": tflite.ActivationFunctionType,
}
VERSION = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1}


class TfliteFile:
    """A graph that grows, operator by operator, with the constants that they read."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.tensors, self.operators = [], []
        self.input = self.output = 0

    # --- parts ---------------------------------------------------------------------------------

    def tensor(self, shape, scale=None, zero=0, dtype="INT8", data=None, axis=0, signature=None):
        scales = zeros = None
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            zeros = np.broadcast_to(np.asarray(zero), scales.shape)
        name = f"t{len(self.tensors)}"
        self.tensors.append(
            SimpleNamespace(
                shape=tuple(shape),
                scale=scales,
                zero=zeros,
                dtype=dtype,
                data=data,
                axis=axis,
                signature=signature,
                name=name,
            )
        )
        return len(self.tensors) - 1

    def constant(self, values, dtype="INT32", **quantised):
        found = np.array(values, {"INT32": "<i4", "INT8": "i1"}[dtype])
        return self.tensor(found.shape, dtype=dtype, data=found.tobytes(), **quantised)

    def operator(self, kind, inputs, outputs, **options):
        self.operators.append((kind, inputs, outputs, {**DEFAULTS.get(kind, {}), **options}))
        self.output = outputs[-1]
        return outputs[-1]

    # --- whole layers --------------------------------------------------------------------------

    def start(self, shape, scale=0.1, zero=-128):
        self.input = self.output = self.tensor((1, *shape), scale, zero)
        return self.input

    def product(
        self, kind, source, channels, kernel=(3, 3), *, scale=0.2, zero=-128, one_scale=False,
        bias=True, bits=8, dead=False, **options,
    ):  # fmt: skip
        """A convolution, a depthwise convolution or a dense layer with random weights."""
        given = self.tensors[source]
        if kind == "FULLY_CONNECTED":
            shape, axis = (channels, math.prod(given.shape)), 0
        elif kind == "CONV_2D":
            shape, axis = (channels, *kernel, given.shape[3]), 0
        else:
            shape, axis = (1, *kernel, channels), 3
            options.setdefault("DepthMultiplier", channels // given.shape[3])
        most = (1 << (bits - 1)) - 1
        weights = self.rng.integers(-most, most + 1, shape)
        fan = math.prod(shape) / channels
        own = 60 * scale / (given.scale[0] * most * 0.6 * 75 * math.sqrt(fan))
        scales = own * self.rng.uniform(0.7, 1.4, 1 if one_scale else channels)
        if dead:
            scales[0] = own * 1e-9
        inputs = [source, self.constant(weights, "INT8", scale=scales, axis=axis)]
        if bias:
            values = self.rng.integers(-2000, 2000, channels)
            inputs.append(self.constant(values, scale=given.scale[0] * scales))
        result = self.tensor((1, channels), scale, zero)
        if kind != "FULLY_CONNECTED":
            covered = [
                (taps - 1) * options.get(f"Dilation{side}Factor", 1) + 1
                for taps, side in zip(kernel, "HW", strict=True)
            ]
            self.tensors[result].shape = self.slid(source, covered, channels, options)
        return self.operator(kind, inputs, [result], **options)

    def slid(self, source, kernel, channels, options):
        """The shape behind a window."""
        sides = []
        for length, taps, side in zip(self.tensors[source].shape[1:3], kernel, "HW", strict=True):
            step = options.get(f"Stride{side}", 1)
            room = length if options.get("Padding") == "SAME" else length - taps + 1
            sides.append(-(-room // step))
        return (1, *sides, channels)

    def pool(self, kind, source, kernel=(2, 2), **options):
        given = self.tensors[source]
        shape = self.slid(source, kernel, given.shape[3], options)
        result = self.tensor(shape, given.scale, given.zero)
        return self.operator(
            kind, [source], [result], FilterHeight=kernel[0], FilterWidth=kernel[1], **options
        )

    def like(self, kind, inputs, shape=None, scale=None, zero=None, **options):
        """An operator whose output is as its first input but for what is given."""
        given = self.tensors[inputs[0]]
        result = self.tensor(
            given.shape if shape is None else shape,
            given.scale if scale is None else scale,
            given.zero if zero is None else zero,
        )
        return self.operator(kind, inputs, [result], **options)

    def padded(self, source, amounts):
        shape = self.tensors[source].shape
        shape = tuple(n + sum(pair) for n, pair in zip(shape, amounts, strict=True))
        return self.like("PAD", [source, self.constant(amounts)], shape)

    def enlarged(self, source, rows, columns, **options):
        height, width = rows * self.shape(source)[1], columns * self.shape(source)[2]
        shape = (1, height, width, self.shape(source)[3])
        sizes = self.constant([height, width])
        return self.like("RESIZE_NEAREST_NEIGHBOR", [source, sizes], shape, **options)

    def shape(self, tensor):
        return self.tensors[tensor].shape

    # --- the file ------------------------------------------------------------------------------

    def content(self, outputs=None, inputs=None):
        """The bytes of the file."""
        builder = flatbuffers.Builder(1024)
        blobs = [b"", *(each.data for each in self.tensors if each.data is not None)]
        kinds = list(dict.fromkeys(kind for kind, *_ in self.operators))
        buffers = self._tables(builder, [self._buffer(builder, blob) for blob in blobs])
        codes = self._tables(builder, [self._code(builder, kind) for kind in kinds])
        places = iter(range(1, len(blobs)))
        tensors = self._tables(
            builder,
            [
                self._tensor(builder, each, 0 if each.data is None else next(places))
                for each in self.tensors
            ],
        )
        operators = self._tables(
            builder, [self._operator(builder, kinds, *each) for each in self.operators]
        )
        ends = [
            builder.CreateNumpyVector(np.asarray(each, np.int32))
            for each in (inputs or [self.input], outputs or [self.output])
        ]
        subgraph = self._made(
            builder, "SubGraph", Tensors=tensors, Operators=operators,
            Inputs=ends[0], Outputs=ends[1],
        )  # fmt: skip
        subgraphs = self._tables(builder, [subgraph])
        model = self._made(
            builder, "Model", Version=3, OperatorCodes=codes, Subgraphs=subgraphs, Buffers=buffers
        )
        builder.Finish(model, file_identifier=b"TFL3")
        return bytes(builder.Output())

    @staticmethod
    def _made(builder, table, **fields):
        module = importlib.import_module(f"tflite.{table}")
        module.Start(builder)
        for name, value in fields.items():
            if value is not None:
                getattr(module, f"Add{name}")(builder, value)
        return module.End(builder)

    @staticmethod
    def _tables(builder, offsets):
        builder.StartVector(4, len(offsets), 4)
        for each in reversed(offsets):
            builder.PrependUOffsetTRelative(each)
        return builder.EndVector()

    def _buffer(self, builder, blob):
        data = builder.CreateByteVector(blob) if blob else None
        return self._made(builder, "Buffer", Data=data)

    def _code(self, builder, kind):
        custom = None
        if not hasattr(tflite.BuiltinOperator, kind):
            custom, kind = builder.CreateString(kind), "CUSTOM"
        number = getattr(tflite.BuiltinOperator, kind)
        return self._made(
            builder, "OperatorCode", DeprecatedBuiltinCode=min(number, 127), BuiltinCode=number,
            Version=VERSION.get(kind, 2), CustomCode=custom,
        )  # fmt: skip

    def _tensor(self, builder, each, buffer):
        quantised = None
        if each.scale is not None:
            scale = builder.CreateNumpyVector(np.asarray(each.scale, np.float32))
            zero = builder.CreateNumpyVector(np.asarray(each.zero, np.int64))
            quantised = self._made(
                builder, "QuantizationParameters", Scale=scale, ZeroPoint=zero,
                QuantizedDimension=each.axis,
            )  # fmt: skip
        shape = builder.CreateNumpyVector(np.asarray(each.shape, np.int32))
        signature = None
        if each.signature is not None:
            signature = builder.CreateNumpyVector(np.asarray(each.signature, np.int32))
        return self._made(
            builder, "Tensor", Name=builder.CreateString(each.name), Shape=shape, Buffer=buffer,
            Type=getattr(tflite.TensorType, each.dtype), Quantization=quantised,
            ShapeSignature=signature,
        )  # fmt: skip

    def _operator(self, builder, kinds, kind, inputs, outputs, options):
        vectors = [
            builder.CreateNumpyVector(np.asarray(each, np.int32)) for each in (inputs, outputs)
        ]
        given, table = None, TABLES.get(kind)
        if table:
            values = {
                name: getattr(ENUMERATIONS[name], value) if name in ENUMERATIONS else value
                for name, value in options.items()
            }
            given = self._made(builder, table, **values)
        return self._made(
            builder, "Operator", OpcodeIndex=kinds.index(kind), Inputs=vectors[0],
            Outputs=vectors[1], BuiltinOptions=given,
            BuiltinOptionsType=getattr(tflite.BuiltinOptions, table) if table else None,
        )  # fmt: skip


def classes(file, source, channels=4):
    """End a file with a dense layer and a softmax."""
    shape = (1, math.prod(file.tensors[source].shape))
    flat = file.like("RESHAPE", [source, file.constant(shape)], shape)
    dense = file.product("FULLY_CONNECTED", flat, channels, scale=0.3, zero=14)
    return file.like("SOFTMAX", [dense], scale=1 / 256, zero=-128)


def layers(*, seed=0, size=(6, 7, 3), zero=-128):
    """A file, and its input, to begin with."""
    file = TfliteFile(seed)
    return file, file.start(size, 0.1, zero)
