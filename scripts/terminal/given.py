"""The command that runs, as it can be given again."""

import shlex
from collections.abc import Collection, Iterator

import click
from click.core import ParameterSource

__all__ = ["given_command"]


def given_command(left_out: Collection[str] = ()) -> str:
    """Return the command that runs with what stands on its line, in the order of its help.

    Parameters
    ----------
    left_out : collection of str
        Names of parameters that decide nothing of what is kept.
    """
    context = click.get_current_context()
    words = ["narrowgauge", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if name not in left_out and source is ParameterSource.COMMANDLINE:
            words += _words(parameter, context.params[name])
    return shlex.join(words)


def _words(parameter: click.Parameter, value: object) -> Iterator[str]:
    """Yield the words of a parameter: a pair is ``name=value``, any other tuple has commas."""
    if isinstance(parameter, click.Argument):
        yield str(value)
    elif isinstance(value, bool):
        yield parameter.opts[0] if value else parameter.secondary_opts[0]
    else:
        values = value if parameter.multiple and isinstance(value, tuple) else (value,)
        for each in values:
            yield from (parameter.opts[0], _text(each, "=" if parameter.multiple else ","))


def _text(value: object, between: str) -> str:
    return between.join(map(str, value)) if isinstance(value, tuple) else str(value)
