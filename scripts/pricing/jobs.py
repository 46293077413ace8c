"""The jobs of a price: trainings, accuracies, elements; a study runs the same ones."""

from dataclasses import asdict
from typing import Any

from ..jobs.job import Job
from .accelerators import fill, route_filled
from .elements import PricedFormat, SummedMac, measure_element
from .families import Member
from .training import measure_narrow, round_exact, train_exact, train_narrow

__all__ = ["accuracy_job", "element_job", "exact_job", "filled_job", "network_job", "routed_job"]

SECONDS = {"mlp": 3.0, "lenet5": 10.0, "cifar10_full": 35.0}
"""Of an epoch on one core, about."""


def exact_job(member: Member) -> Job:
    """Return the job that trains a float network; it gives parameters."""
    return Job(
        train_exact,
        (member.exact(),),
        (),
        member.dataset,
        seconds=SECONDS[member.family] * member.epochs.exact,
        text=f"train {member} in float",
    )


def network_job(member: Member, fmt: PricedFormat) -> Job:
    """Return the job that gives a network file: trained in the format, or rounded to floats."""
    exact = exact_job(member)
    weight, activation = str(fmt.operands.weight), str(fmt.operands.activation)
    if not fmt.is_trained:
        given = (member.exact(), weight, activation)
        text = f"round {member} to {fmt.text}"
        return Job(round_exact, given, (exact,), member.dataset, 2.0, text)
    return Job(
        train_narrow,
        (member.exact(), member.narrow(weight, activation)),
        (exact,),
        member.dataset,
        seconds=SECONDS[member.family] * member.epochs.of(weight),
        text=f"train {member}, {fmt.text}",
    )


def accuracy_job(member: Member, fmt: PricedFormat) -> Job:
    """Return the job that says how many images a network labels right."""
    needs, seconds = (network_job(member, fmt),), 5.0 if fmt.is_trained else 20.0
    text = f"{member}, {fmt.text}"
    return Job(measure_narrow, (member.dataset,), needs, member.dataset, seconds, text)


def element_job(point: SummedMac) -> Job:
    """Return the job that measures an element."""
    given: dict[str, Any] = asdict(point)
    text = f"{point.text} on {point.target}"
    return Job(measure_element, (given,), (), "", seconds=40.0, text=text)


def filled_job(member: Member, fmt: PricedFormat, target: str) -> Job:
    """Return the job that fills a device with the accelerator of a network."""
    text = f"fill {target} with {member}, {fmt.text}"
    return Job(fill, (target,), (network_job(member, fmt),), member.dataset, 60.0, text)


def routed_job(filled: Job, target: str, seed: int) -> Job:
    """Return the job that places and routes the accelerator of a `filled_job`."""
    network = filled.needs[0]
    text = f"{filled.text}, placement {seed}"
    needs = (network, filled)
    return Job(route_filled, (target, seed), needs, filled.data, 300.0, text)
