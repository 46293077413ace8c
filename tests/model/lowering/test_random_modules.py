"""Random modules: the same function, in float and in integers, or refused; never anything else."""

import copy

import pytest
import torch

from narrowgauge.hw.errors import NetworkError
from narrowgauge.model.lowering import assembly
from narrowgauge.model.lowering.lower import lower

from .random_modules import RandomModule
from .test_idioms import differences, images_of, quantised
from .test_topologies import stir

IMAGE = (8, 8, 2)
SEEDS = range(20)

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def outcome(seed):
    """Whether a random module was lowered; None for one that torch does not run."""
    torch.manual_seed(seed)
    module = RandomModule(seed)
    levels, values, _ = images_of(IMAGE, 5)
    try:
        with torch.no_grad():
            module.eval()(values.clone())
            module.train()(values[:3].clone())
    except (RuntimeError, ValueError):  # too small an image
        return None
    module = stir(module)
    try:
        model = lower(module, IMAGE).eval()
    except NetworkError as error:
        if "differs from it" in str(error):
            raise
        return False
    with torch.no_grad():
        expected, logits = copy.deepcopy(module)(values.clone()), model(values)
        found = logits.log_softmax(1) if model.remarks else logits
        assert torch.allclose(expected, found, atol=1e-4, rtol=1e-4)
    network = quantised(model, values)
    assert not any(differences(model, network, levels).values())
    return True


def test_random_modules_are_the_same_or_refused():
    found = [outcome(seed) for seed in SEEDS]
    assert found.count(True) >= len(SEEDS) // 2


def test_a_careless_lowering_is_found(monkeypatch):
    """The planted twin: constants that wait for a layer are forgotten."""
    monkeypatch.setattr(assembly, "fold_before", lambda op, scaling: None)
    with pytest.raises(NetworkError, match="differs from it"):
        list(map(outcome, SEEDS))
