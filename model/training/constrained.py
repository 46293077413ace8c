"""Checks, before a training for an accumulator, what no training makes narrower."""

from ...hw.errors import NetworkError
from ...hw.numbers.arithmetic import bits_for
from ..layers.blocks import Model
from ..layers.unweighted import AddStep, AveragePoolStep
from .recipe import Recipe

__all__ = ["check_sums"]


def check_sums(model: Model, recipe: Recipe) -> None:
    """Refuse pools and sums of tensors that the accumulator does not hold.

    They have no weights to train. Of sums of two tensors only the least that they may be is known
    before their scales are; what they are is looked at when the network is exported.

    Parameters
    ----------
    model : Model
        Quantised, untrained.
    recipe : Recipe
        With a constraint.

    Raises
    ------
    NetworkError
        For the first one, with the bits that it takes.
    """
    constraint = recipe.constraint
    if constraint is None or recipe.ends == "free":  # then the register is as wide as it has to be
        return
    for node, step in model.items():
        if isinstance(step, AveragePoolStep):
            what, terms = "pool", step.kernel[0] * step.kernel[1]
        elif isinstance(step, AddStep):
            what, terms = "sum of tensors", len(step.inputs)
        else:
            continue
        low = terms * min(each.min_level for each in step.inputs)
        high = terms * max(each.max_level for each in step.inputs)
        if bits_for(low, high) > constraint.bits:
            read = ", ".join(sorted({str(each) for each in step.inputs}))
            raise NetworkError(
                f"layer {node.name}: a {what} adds {terms} levels of {read} and takes "
                f"{bits_for(low, high)} bits, and the accumulator has {constraint.bits}: take that "
                "many, give it narrower activations, or leave the ends free"
            )
