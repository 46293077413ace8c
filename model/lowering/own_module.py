"""Float networks of the user's own Python code, by their names."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...hw.errors import NarrowgaugeError, NetworkError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_own_module", "own_module"]


def is_own_module(text: str) -> bool:
    """Tell whether a text reads ``package.module:name``."""
    module, separator, name = text.partition(":")
    return bool(separator) and all(map(str.isidentifier, [name, *module.split(".")]))


def own_module(text: str, image_shape: tuple[int, ...], classes: int) -> "nn.Module":
    """Return the torch module that ``package.module:name`` is, or gives.

    Parameters
    ----------
    text : str
        A module, or a function or class that gives one. Python modules of the working folder come
        first.
    image_shape : tuple of int
        Height, width and channels; the function gets it as ``image_shape``.
    classes : int
        It gets that as ``classes``. A function that needs two arguments of other names gets both in
        this order.

    Raises
    ------
    NetworkError
        For what cannot be imported, fails, or gives something else; in one line.
    """
    from torch import nn  # not before it is needed: it takes a second

    module, _, name = text.partition(":")
    with _working_folder():
        try:
            found = getattr(importlib.import_module(module), name)
        except Exception as error:  # whatever the user's code raises
            raise NetworkError(f"{text} cannot be imported: {_line(error)}") from error
        if not isinstance(found, nn.Module) and callable(found):
            found = _called(found, text, image_shape, classes)
    if not isinstance(found, nn.Module):
        raise NetworkError(f"{text} gives {type(found).__name__}, and no torch module")
    return found


def _called(
    function: Callable[..., object], text: str, image_shape: tuple[int, ...], classes: int
) -> object:
    try:
        signature = inspect.signature(function)
        known = {"image_shape": image_shape, "classes": classes}
        given = {each: value for each, value in known.items() if each in signature.parameters}
        try:
            signature.bind(**given)
        except TypeError:
            return function(image_shape, classes)
        return function(**given)
    except NarrowgaugeError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise NetworkError(f"{text} fails: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """Return the kind of an error, and its text in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let modules of the working folder be imported, as Python itself does."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
