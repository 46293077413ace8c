"""Imports of Brevitas' decoupled weights (A2Q, A2Q+, weight norm), as they are multiplied.

What training for an accumulator promised is looked for in the integers, where a planted fault of it
is found by layer and channel.
"""

from contextlib import nullcontext

import pytest
import torch

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.exchange import brevitas
from narrowgauge.model.exchange.agree import agree
from narrowgauge.model.exchange.brevitas import import_brevitas
from narrowgauge.model.exchange.importer import import_qonnx
from narrowgauge.model.integers.guarantee import prove_sums

from . import brevitas_networks
from .brevitas_networks import export, infer

LANES = 4
LAYERS = (1, 5, 9)  # of the module, with weights


@pytest.fixture(scope="module")
def trained():
    module, _, test = brevitas_networks.train("a2q+, 12 bits")
    return module, test[:200]


def test_what_a2q_plus_promised_is_proven_from_the_integers(trained, tmp_path):
    module, images = trained
    before = [module[at].weight.detach().clone() for at in LAYERS]
    export(module, images[:1], tmp_path / "plus.onnx", dynamo=False)
    imported = import_qonnx(tmp_path / "plus.onnx", lanes=LANES)
    assert all(torch.equal(module[at].weight, own) for at, own in zip(LAYERS, before, strict=True))

    found = agree(imported, images.numpy(), LANES)
    assert [each.first for each in found.tensors if each.first] == []
    assert (infer(module, images).argmax(dim=1) == found.result.labels).all()
    needed = prove_sums(imported.network, LANES, bits=12)
    assert max(bits.max() for bits in needed.values()) == imported.network.accumulator.width == 12


def test_a_promise_that_a_training_broke_is_refused_by_layer_and_channel(trained):
    module, images = trained
    limits = module[5].weight_quant.tensor_quant.pre_scaling_impl
    held = limits.accumulator_bit_width.bit_width
    with torch.no_grad():  # the twin: norms of one channel that the limit does not hold
        limits.value[3] += 6
        held += 6
        try:
            broken = import_brevitas(module, images, dynamo=False, lanes=LANES).network
        finally:
            held -= 6
            limits.value[3] -= 6
    name = broken.layers[2].name
    with pytest.raises(NetworkError, match=rf"layer {name} of .*, channel 3: sums reach from .*"):
        prove_sums(broken, LANES, bits=12)


def test_a_file_without_the_weights_that_are_multiplied_is_refused(trained, monkeypatch):
    """Nothing in the file shows it; the module does."""
    module, images = trained
    monkeypatch.setattr(brevitas, "multiplied_weights", lambda *_: nullcontext())
    with pytest.raises(NetworkError, match="something else than the module"):
        import_brevitas(module, images, dynamo=False, lanes=LANES)
