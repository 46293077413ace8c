"""The optimisation of one network, epoch by epoch, which can be left and taken up again."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from ...hw.errors import NetworkError
from ..data import Dataset
from ..layers.blocks import Model
from ..layers.norm_limited import norm_penalty
from .checkpoint import Checkpoint, State
from .feed import TrainingFeed
from .recipe import Recipe

__all__ = ["Fit", "deterministic", "find_device"]

WARMUP = 0.2  # share of all steps in which the rate rises
SMALL = 200_000  # weights of dense layers up to which one thread is quickest
SMALL_IMAGE = 16 * 16  # pixels up to which it is for convolutions


def find_device() -> torch.device:
    """Return the GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seed a private random state; it and the number of threads are put back afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


class Fit:
    """A training under way.

    Parameters
    ----------
    recipe : Recipe
        What to do.
    model : Module
        The float model, untrained; it may have layers that only training has, such as dropout.
    dataset : Dataset
        What it learns.
    device : torch.device
        Where it computes.

    Attributes
    ----------
    generator : torch.Generator
        Order and moves of images.
    chance : torch.Generator
        Stochastic rounding.
    """

    def __init__(self, recipe: Recipe, model: nn.Module, dataset: Dataset, device: torch.device):
        self.recipe, self.schedule, self.device = recipe, recipe.schedule, device
        self.model = model.to(device)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.chance = torch.Generator(device).manual_seed(recipe.seed)
        self.history: list[tuple[float, float]] = []
        self.seconds = 0.0
        convolves = any(isinstance(module, nn.Conv2d) for module in model.modules())
        self.mixed = convolves and _has_bfloat16(device)
        height, width, _ = dataset.image_shape
        weights = sum(parameter.numel() for parameter in model.parameters())
        if height * width <= SMALL_IMAGE if convolves else weights < SMALL:
            torch.set_num_threads(1)

    def run(
        self,
        feed: TrainingFeed,
        teacher: Model | None,
        checkpoint: Checkpoint,
        state: State,
        progress: Callable[..., None] | None,
    ) -> None:
        """Run the epochs that ``state``, of a checkpoint, has not seen."""
        self.teacher = None
        if teacher is not None and self.schedule.distill:
            self.teacher = teacher.to(self.device)
        self.optimizer = torch.optim.AdamW(
            _groups(self.model, self.schedule.decay),
            lr=self.schedule.rate,
            foreach=True,
            weight_decay=0.0,
        )
        if state:
            self._resume(state)
        epochs, first = self.schedule.epochs, len(self.history)
        began, before = perf_counter(), self.seconds
        for epoch in range(first, epochs):
            self.history.append(self._epoch(feed, epoch))
            self._check_finite()
            spent = perf_counter() - began
            self.seconds = before + spent
            checkpoint.save(**self.state())
            if progress is not None:
                left = spent / (epoch + 1 - first) * (epochs - epoch - 1)
                progress(epoch + 1, epochs, *self.history[-1], left)
        if teacher is not None:
            teacher.cpu()

    def _check_finite(self) -> None:
        """Refuse a training that has left the numbers; raises `NetworkError`."""
        loss, _ = self.history[-1]
        weights = torch.stack([each.detach().isfinite().all() for each in self.model.parameters()])
        if not (math.isfinite(loss) and bool(weights.all())):
            raise NetworkError(
                f"the training diverged in epoch {len(self.history)}: its loss is {loss:g}; "
                f"take a rate below {self.schedule.rate:g}"
            )

    def state(self) -> State:
        """Return everything that the next epoch depends on."""
        return self.outcome() | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "chance": self.chance.get_state(),
        }

    def outcome(self) -> State:
        """Return what is worth keeping of a training that has ended, apart from the model."""
        return {
            "recipe": self.recipe.plain(),
            "history": self.history,
            "seconds": self.seconds,
            "device": str(self.device),
        }

    def _resume(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.chance.set_state(state["chance"])
        self.history = [(loss, share) for loss, share in state["history"]]
        self.seconds = state["seconds"]

    def _epoch(self, feed: TrainingFeed, epoch: int) -> tuple[float, float]:
        """Run one epoch; return mean loss and accuracy."""
        steps = feed.steps(self.schedule)
        total = steps * self.schedule.epochs
        loss_sum = torch.zeros((), device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        self.model.train()
        for index, (images, labels) in enumerate(feed.epoch(self.schedule, self.generator)):
            for group in self.optimizer.param_groups:
                group["lr"] = self.schedule.rate * _one_cycle((epoch * steps + index) / total)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                logits = self.model(images)
            loss = self._loss(logits.float(), images, labels)
            beyond = norm_penalty(self.model)
            self.optimizer.zero_grad()
            (loss if beyond is None else loss + beyond).backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(labels)
            right += (logits.argmax(dim=1) == labels).sum()
        return float(loss_sum) / len(feed), int(right) / len(feed)

    def _loss(self, logits: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """Return the cross entropy with the labels and, where there is a teacher, with its own."""
        smoothing, share = self.schedule.smoothing, self.schedule.distill
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        if self.teacher is None:
            return loss
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed),
        ):
            taught = self.teacher(images).float().softmax(dim=1)
        return (1 - share) * loss + share * nn.functional.cross_entropy(logits, taught)


def _one_cycle(progress: float) -> float:
    """Return the share of the peak rate after a share of all steps: up and down in half waves."""
    if progress < WARMUP:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / WARMUP)) / 2
    return (1 + math.cos(math.pi * (progress - WARMUP) / (1 - WARMUP))) / 2


def _groups(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Split the parameters: weights decay; biases, BatchNorm and scales do not."""
    decaying, others = [], []
    for name, parameter in model.named_parameters():
        is_weight = parameter.ndim >= 2 and "log2_" not in name
        (decaying if is_weight else others).append(parameter)
    return [{"params": decaying, "weight_decay": decay}, {"params": others}]


def _has_bfloat16(device: torch.device) -> bool:
    """Tell whether convolutions are faster in bfloat16 than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()
