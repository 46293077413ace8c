"""Shows prices: two tables and sentences on a terminal, and rows."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from .costs import ArrayCost
from .prices import Price
from .ranking import Standing
from .request import PriceRequest

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["plain_rows", "price_table", "rate_table", "sentences"]


def _cost(standing: Standing) -> ArrayCost:
    assert standing.chosen is not None
    found = standing.chosen.fields["cost"]
    assert isinstance(found, ArrayCost)
    return found


def price_table(prices: Sequence[Price], request: PriceRequest) -> "Table":
    """Return what each format costs an image on an array that is never idle."""
    block = f"{request.block:g}"
    table = _table(
        f"Price of {request.target_accuracy:g} % on {request.dataset}: LUT-microseconds of an "
        f"image on an array of {request.target}, a DSP block as {block} LUTs",
        ("rank", "format", "network", "held out", "test", "LUT us", "bounds", "DSPs free"),
        ("LUT x cycles", "weights, kbit", "values, kbit", "MAC/bit", "tied with"),
        text=("format", "network", "tied with"),
    )
    for price in prices:
        standing = price.standing
        if standing.chosen is None:
            best = standing.best
            missed = "within error of the target" if isfinite(standing.low) else "not reached"
            table.add_row("", standing.format, f"{best.name}: {missed}", f"{best.share}",
                          f"{best.tested}")  # fmt: skip
            continue
        cost, chosen = _cost(standing), standing.chosen
        high = f"{standing.high:,.0f}" if isfinite(standing.high) else "?"
        table.add_row(
            f"{standing.rank}",
            standing.format,
            chosen.name,
            f"{chosen.share}",
            f"{chosen.tested}",
            f"{cost.area_time:,.0f}",
            f"{standing.low:,.0f} to {high}",
            f"{cost.free:,.0f}",
            f"{cost.lut_cycles:,.0f}",
            f"{cost.weight_bits / 1000:,.0f}",
            f"{cost.value_bits / 1000:,.1f}",
            f"{cost.intensity:.2f}",
            ", ".join(standing.tied),
        )
    return table


def rate_table(prices: Sequence[Price], request: PriceRequest) -> "Table":
    """Return the accelerators that fill the device."""
    table = _table(
        f"Accelerators of these networks that fill {request.target}",
        ("format", "network", "array", "LUT", "DSP", "block RAM", "MHz", "cycles an image"),
        ("LUT x cycles", "images/s", "weights, Mbit/s", ""),
        text=("format", "network", ""),
    )
    for price in prices:
        standing, found = price.standing, price.accelerator
        if standing.chosen is None:
            continue
        if found is None:
            table.add_row(standing.format, standing.chosen.name, *[""] * 9, "not built")
            continue
        if found.failure is not None:
            table.add_row(standing.format, standing.chosen.name, *[""] * 9, found.failure)
            continue
        rate = found.images_per_second
        table.add_row(
            standing.format,
            standing.chosen.name,
            found.array,
            f"{found.lut:,}",
            f"{found.dsp}",
            f"{found.bram}",
            f"{found.fmax_mhz:.1f}",
            f"{found.cycles:,.0f}",
            f"{found.lut_cycles:,.0f}",
            f"{rate:,.0f}",
            f"{rate * _cost(standing).weight_bits / 1e6:,.0f}",
            "routed" if found.routed else "estimated",
        )
    return table


def _table(title: str, *heads: tuple[str, ...], text: tuple[str, ...]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for head in heads:
        for name in head:
            left = name in text
            table.add_column(name, justify="left" if left else "right", no_wrap=name != "tied with")
    return table


def sentences(prices: Sequence[Price]) -> list[str]:
    """Return what the ranking says in words."""
    reached = [each.standing for each in prices if each.standing.chosen is not None]
    lines = []
    if reached:
        first = reached[0]
        assert first.chosen is not None
        tied = f", tied with {', '.join(first.tied)}" if first.tied else ""
        lines.append(f"cheapest: {first.format}, {first.chosen.name}{tied}.")
    for price in prices:
        standing = price.standing
        if standing.chosen is None:
            best = standing.best
            lines.append(
                f"{standing.format} does not reach the target: the best found is {best.name}, "
                f"{best.share} of held-out images."
            )
    return lines


def plain_rows(prices: Sequence[Price]) -> list[dict[str, Any]]:
    """Return prices as plain data, a mapping for each format."""
    return [_row(each) for each in prices]


def _row(price: Price) -> dict[str, Any]:
    standing = price.standing
    shown = standing.chosen or standing.best
    cost = shown.fields["cost"]
    row: dict[str, Any] = {
        "format": standing.format,
        "rank": standing.rank,
        "tied": list(standing.tied),
        "network": shown.name,
        "reaches": standing.chosen is not None,
        "accuracy_held_out": shown.share.mean,
        "accuracy_held_out_error": shown.share.error,
        "accuracy_test": shown.tested.mean,
        "seeds": shown.share.seeds,
        "images": shown.share.images,
        "lut_us": cost.area_time,
        "lut_us_low": standing.low if isfinite(standing.low) else None,
        "lut_us_high": standing.high if isfinite(standing.high) else None,
        "lut_us_blocks_free": cost.free,
        "lut_cycles": cost.lut_cycles,
        "lane_cycles": cost.slots,
        "weight_bits": cost.weight_bits,
        "value_bits": cost.value_bits,
        "element": vars(cost.element),
    }
    if price.accelerator is not None:
        found = price.accelerator
        row["accelerator"] = vars(found) | {
            "images_per_second": found.images_per_second,
            "lut_cycles": found.lut_cycles,
        }
    return row
