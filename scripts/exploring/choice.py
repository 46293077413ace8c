"""Chooses one of some choices for every layer under limits: an integer program.

``x[l, c]`` is 1 where layer ``l`` has choice ``c``; each layer has one. What is minimised and what
is limited are sums over layers, so both are matrices of what each choice adds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...hw.errors import FitError
from ..terminal.streams import muted

__all__ = ["Limit", "choose_widths", "least_limits", "refuse_limits"]

SLACK = 1e-9  # of a limit, for what floating point sums differ in


@dataclass(frozen=True, eq=False)
class Limit:
    """A sum over layers that has a most.

    Attributes
    ----------
    name, unit : str
        What it is called, and counted in.
    costs : float array of shape (layers, choices)
        What each choice adds; infinite where the choice cannot be.
    most : float
        The limit.
    """

    name: str
    costs: np.ndarray
    most: float
    unit: str = ""


def choose_widths(
    costs: np.ndarray, limits: Sequence[Limit], *, then: np.ndarray | None = None
) -> tuple[int, ...] | None:
    """Return the index of the choice of each layer at which the sum of ``costs`` is least.

    Parameters
    ----------
    costs : float array of shape (layers, choices)
        What each choice adds to what is minimised; infinite where it cannot be.
    limits : sequence of Limit
        What other sums are at most.
    then : float array of shape (layers, choices), optional
        Minimised among choices that are equally good.

    Returns
    -------
    tuple of int, or None
        None where nothing meets the limits.
    """
    chosen = _solve(costs, limits)
    if chosen is None or then is None:
        return chosen
    best = Limit("", costs, _sum(costs, chosen))
    return _solve(then, [*limits, best]) or chosen


def least_limits(limits: Sequence[Limit]) -> list[tuple[Limit, float | None]]:
    """Return for each limit the least that it could be while all others are kept.

    None where the others cannot be kept, whatever it is.
    """
    found = []
    for limit in limits:
        chosen = _solve(limit.costs, [each for each in limits if each is not limit])
        found.append((limit, None if chosen is None else _sum(limit.costs, chosen)))
    return found


def refuse_limits(limits: Sequence[Limit]) -> FitError:
    """Return the error of limits that nothing meets: which, and the nearest that would do."""
    alone = [(limit, _least(limit)) for limit in limits]
    hopeless = [(limit, least) for limit, least in alone if _above(least, limit.most)]
    if hopeless:
        texts = [
            f"{limit.name} is at most {limit.most:,.6g}{limit.unit}, and at least {least:,.6g}"
            f"{limit.unit} with any widths"
            for limit, least in hopeless
        ]
        return FitError(f"no widths meet the limits: {'; '.join(texts)}")
    texts = [
        f"{limit.name} of {least:,.6g}{limit.unit} instead of {limit.most:,.6g}{limit.unit}"
        for limit, least in least_limits(limits)
        if least is not None
    ]
    return FitError(
        "no widths meet all limits together; what would do, one at a time: "
        f"{'; '.join(texts) or 'none of them alone'}"
    )


def _least(limit: Limit) -> float:
    return float(limit.costs.min(axis=1).sum())


def _sum(costs: np.ndarray, chosen: Sequence[int]) -> float:
    return float(costs[np.arange(len(costs)), list(chosen)].sum())


def _above(value: float, most: float) -> bool:
    return value > most + SLACK * max(1.0, abs(most))


def _solve(costs: np.ndarray, limits: Sequence[Limit]) -> tuple[int, ...] | None:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    layers, choices = costs.shape
    possible = np.isfinite(costs)
    for limit in limits:
        possible &= np.isfinite(limit.costs)
    if not possible.any(axis=1).all():
        return None
    if possible.sum() == layers:  # nothing to choose
        chosen = tuple(possible.argmax(axis=1).tolist())
        return chosen if _kept(chosen, limits) else None
    one_each = csr_array(np.kron(np.eye(layers), np.ones(choices)))
    constraints = [LinearConstraint(one_each, 1, 1)]
    possible &= _undominated([costs, *(limit.costs for limit in limits)], possible)
    for limit in limits:
        # a scale of 1, because the solver's tolerances are absolute
        row = np.where(possible, limit.costs, 0.0)
        size = max(float(abs(row).max()), abs(limit.most) / layers) or 1.0
        most = limit.most + SLACK * max(1.0, abs(limit.most))
        constraints.append(LinearConstraint(row.reshape(1, -1) / size, -np.inf, most / size))
    goal = np.where(possible, costs, 0.0)
    with muted():
        found = milp(
            goal.ravel() / (float(abs(goal).max()) or 1.0),
            integrality=np.ones(costs.size),
            bounds=Bounds(np.zeros(costs.size), possible.ravel().astype(float)),  # pyright: ignore[reportArgumentType]
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
    if found.x is None:
        return None
    chosen = tuple(int(each) for each in found.x.reshape(layers, choices).argmax(axis=1))
    return chosen if _kept(chosen, limits) else None


def _undominated(costs: Sequence[np.ndarray], possible: np.ndarray) -> np.ndarray:
    """Return the possible choices, but those than which another of the layer is better in nothing.

    Of equal choices the first one stays. Others would take the solver's time only.
    """
    found = np.zeros_like(possible)
    for layer, own in enumerate(possible):
        among = np.flatnonzero(own)
        values = np.array([each[layer, among] for each in costs])
        order = np.lexsort(values[::-1])  # a better one is before, and so is the first of equals
        values = values[:, order]
        better = (values[:, :, None] <= values[:, None, :]).all(axis=0)
        found[layer, among[order[~np.triu(better, 1).any(axis=0)]]] = True
    return found


def _kept(chosen: tuple[int, ...], limits: Sequence[Limit]) -> bool:
    return not any(_above(_sum(limit.costs, chosen), limit.most) for limit in limits)
