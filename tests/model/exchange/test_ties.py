"""Differences that float32 decided are ties; others are none, however large its numbers are."""

import numpy as np
import pytest

from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.importer import import_model

from .graphs import Graph

DOMAIN = "qonnx.custom_op.general"


def counted(first):
    """Agreement of sums of multiples of 0.03 that are compared with thresholds 0.3 apart."""
    graph = Graph((1, 9), seed=3)
    sums = graph.matmul(graph.quant(graph.input, 4, 0.3), graph.weights((9, 6), scale=0.1))
    table = np.float32(first) + np.arange(15, dtype=np.float32)[None] * np.float32(0.3)
    more = {"out_scale": 1.0, "out_bias": -7.0, "out_dtype": "INT8"}
    levels = graph.node("MultiThreshold", sums, table, domain=DOMAIN, **more)
    end = graph.matmul(graph.quant(levels, 8, 1.0), graph.weights((6, 3)))
    imported = import_model(graph.model(end), name="counted")
    images = np.random.default_rng(0).integers(-8, 8, (200, 9)) * 0.3
    return imported, images


@pytest.mark.parametrize("first", [-2.1, -1.65])
def test_at_thresholds(first):
    """The nearest border is a threshold, wherever that lies."""
    found = agree(*counted(first))
    assert found.first == ""
    row = found.tensors[1]
    assert row.different == row.ties > 10
    assert row.distance < 1e-6


def test_a_threshold_that_moves_is_found():
    imported, images = counted(-2.1)
    (table,) = [
        each
        for each in imported.model.graph.initializer
        if any(
            node.op_type == "MultiThreshold" and each.name in node.input
            for node in imported.model.graph.node
        )
    ]
    values = np.frombuffer(table.raw_data, np.float32).copy()
    values[4] += np.float32(0.031)  # one sum further
    table.raw_data = values.tobytes()
    row = agree(imported, images).tensors[1]
    assert "in the executor's MultiThreshold_0.out" in row.first
    assert row.different > row.ties
