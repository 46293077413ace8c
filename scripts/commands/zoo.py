"""``narrowgauge zoo``: the trained networks that come with the package."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ...hw.errors import NetworkError
from ..terminal import options
from ..terminal.progress import Reporter, standard_output

__all__ = ["command"]


@click.command(
    "zoo",
    epilog="""\b
Examples:
  narrowgauge zoo
  narrowgauge zoo --json
  narrowgauge zoo mnist-lenet5-int4
  narrowgauge zoo mnist-lenet5-int4 --verify""",
)
@click.argument("name", required=False)
@click.option(
    "--verify", is_flag=True, help="Evaluate the integers on all test images; compare the card."
)
@click.option(
    "--add",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Verify a network file and put it into the zoo, for those who maintain it.",
)
@options.json_output
def command(name: str | None, verify: bool, add: Path | None, as_json: bool) -> int:
    """List the trained networks that come with narrowgauge, or show the card of one.

    Their names can be given wherever a network file can, and to `run --network`.
    """
    from ...model.zoo import networks as zoo

    if add is not None:
        networks = [_add(add, name)]
    else:
        networks = [zoo.load(each) for each in ([name] if name else zoo.names())]
        if verify:
            _verify(networks)
    if name is None and add is None:
        rows = [zoo.entry(network).plain() for network in networks]
        print(json.dumps(rows, indent=2)) if as_json else _print_list(networks)
    elif as_json:
        print(json.dumps(_card(networks[0]), indent=2))
    else:
        _print_card(networks[0])
    return 0


def _verify(networks: list[Any]) -> None:
    with Reporter() as reporter:
        with reporter.step("load PyTorch"):
            from ...model.zoo.verify import verify
        for network in networks:
            with reporter.step(f"evaluate {network.name}") as step:
                step.note(f"{100 * verify(network):.2f} %, as its card says")


def _add(path: Path, name: str | None) -> Any:
    """Verify the network in ``path`` and write it into the zoo, under ``name`` if given."""
    from ...hw.network import file as network_file
    from ...model.zoo import networks as zoo

    network = network_file.load(path)
    network = replace(network, name=name or network.name)
    if Path(network.name).name != network.name:
        raise NetworkError(f"{network.name!r} is not the name of a file")
    _verify([network])
    network_file.save(network, zoo.folder() / f"{network.name}{zoo.SUFFIX}")
    return network


def _card(network: Any) -> dict[str, Any]:
    """Return everything about one network, as plain data."""
    from ...model.zoo import networks as zoo

    known = zoo.entry(network).plain()
    more = {key: value for key, value in network.about.items() if key not in known}
    more.pop("accuracy_reference", None)  # which is accuracy_integer
    return known | more | {"layers": zoo.layer_rows(network)}


def _table(*columns: str, left: int) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, collapse_padding=True)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=index == 0)
    return table


def _print_list(networks: list[Any]) -> None:
    from ...model.zoo import networks as zoo

    table = _table(
        *("name", "data set", "network", "weights", "activations"),
        *("float", "integers", "weights, bits"),
        left=5,
    )
    for network in networks:
        entry = zoo.entry(network)
        table.add_row(
            *(entry.name, entry.dataset, entry.network),
            zoo.formats(network, "weight"),
            zoo.formats(network, "activation"),
            *(_percent(entry.accuracy_float), _percent(entry.accuracy_integer)),
            f"{entry.parameter_bits:,}",
        )
    standard_output().print(table)


def _print_card(network: Any) -> None:
    from ...model.zoo import networks as zoo

    about, entry = network.about, zoo.entry(network)
    console = standard_output()
    console.print(f"{entry.name}: {entry.network} on {entry.dataset}", style="bold", markup=False)
    console.print(
        f"{_percent(entry.accuracy_integer)} of the test images right with integers, "
        f"{_percent(entry.accuracy_float)} in float\n"
        f"{entry.parameters:,} weights in {entry.parameter_bits:,} bits, "
        f"{sum(map(network.macs, network)):,} MACs an image\n"
        f"weights {zoo.formats(network, 'weight')}; "
        f"activations {zoo.formats(network, 'activation')}; input {network.input}\n"
        f"{about['epochs']} epochs in {about['seconds']:,.0f} s on {about['device']}, "
        f"seed {about['seed']}\n{entry.command}",
        markup=False,
        soft_wrap=True,
    )
    if "remark" in about:
        console.print(about["remark"], markup=False, soft_wrap=True)
    table = _table(
        "layer", "kind", "weights", "input", "output", "size", "count", "bits", "MACs", left=5
    )
    for row in zoo.layer_rows(network):
        numbers = [
            f"{row[key]:,}" if row[key] else "" for key in ("weights", "weight_bits", "macs")
        ]
        table.add_row(
            *(row["layer"], row["kind"], row["weight"] or "", row["input"], row["output"]),
            *(row["size"], *numbers),
        )
    console.print(table)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
