"""The wires that each net of a routed iCE40 design takes, from what nextpnr writes.

``nextpnr-ice40 --write`` gives every net an attribute ``ROUTING``: triples of a wire, the switch
that drives it, and a strength, with ``;`` between all of them. A wire is named by a tile and its
name there (``X17/Y3/local_g2_5``), a span by one of the tiles that it passes. So the kind of a wire
is told by its name, as nextpnr's own ``ice40/chipdb.py`` does (``wire_type``); Project IceStorm's
pages on logic tiles, RAM tiles and IO tiles say what each is.

============  ==================================================================================
``local``     inside a tile: the output of a cell (``lutff_0:out``, ``ram:RDATA_0``,
              ``io_0:D_IN_0``; ``slf_op_0`` of DSP blocks and single-port RAM), a track
              (``local_g0_0``, ``glb2local_0``), the input of a cell (``lutff_0:in_0``,
              ``ram:WADDR_0``, ``io_0:D_OUT_0``), of the registers of a tile (``lutff_global:clk``),
              of a global buffer (``fabout``)
``neighbour`` an output of one tile that is taken over by a track of another: all outputs lead to
              the eight tiles around, where they have no name of their own
``span4``     ``sp4_h_r_0``, ``sp4_v_b_0``, ``sp4_r_v_b_0``; at the edges ``span4_horz_r_0``,
              ``span4_vert_0``
``span12``    ``sp12_h_r_0``, ``sp12_v_b_0``; ``span12_horz_0``, ``span12_vert_0``
``global_``   ``glb_netwk_0``: one of the eight nets that reach every tile
``carry``     ``lutff_0:cout`` to the cell above, ``carry_in_mux`` into the lowest of a tile
============  ==================================================================================

``lutff_0:in_0_lut`` is no wire: by it, nextpnr tells which input of the LUT an input of the cell
is. A net without wires stays inside one cell, from a LUT to its register for example.
"""

import json
import re
from collections import Counter
from dataclasses import astuple, dataclass
from typing import Any

from ..errors import ToolError

__all__ = ["Wires", "net_wires", "wires_of"]


@dataclass(frozen=True)
class Wires:
    """How many wires of each kind a net takes; see the module's text.

    >>> Wires(local=3, span4=1) + Wires(local=1)
    Wires(local=4, neighbour=0, span4=1, span12=0, global_=0, carry=0)
    """

    local: int = 0
    neighbour: int = 0
    span4: int = 0
    span12: int = 0
    global_: int = 0
    carry: int = 0

    def __add__(self, other: "Wires") -> "Wires":
        return Wires(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


_KINDS = {
    "local": (
        r"local_g\d_\d|glb2local_\d|lutff_\d:(in_\d|l?out)|lutff_global:(clk|cen|s_r)|slf_op_\d"
        r"|ram:(RADDR|WADDR|MASK|WDATA|RDATA)_\d+|ram:[RW](CLK|CLKE|E)"
        r"|io_\d:(D_IN_\d|D_OUT_\d|OUT_ENB)|io_global:(inclk|outclk|cen|latch)|fabout|clk|padin_\d"
        r"|mult:O_\d+"
    ),
    "span4": r"sp4_(h_[lr]|v_[bt]|r_v_b)_\d+|span4_(horz|vert)_\w+",
    "span12": r"sp12_(h_[lr]|v_[bt])_\d+|span12_(horz|vert)_\w+",
    "global_": r"glb_netwk_\d",
    "carry": r"lutff_\d:cout|carry_in|carry_in_mux",
    "none": r"lutff_\d:in_\d_lut",
}
_KIND = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))
_WIRE = re.compile(r"X\d+/Y\d+/(.+)")
# from the output of a cell of one tile to a track of another
_TAKEN = re.compile(
    r"X\d+/Y\d+/(\d+\.\d+)\.(?:lutff_\d:out|ram:RDATA_\d+|io_\d:D_IN_\d|slf_op_\d|mult:O_\d+)\.->"
    r"\.(\d+\.\d+)\.local_g\d_\d"
)


def net_wires(text: str) -> dict[str, Wires]:
    """Return the wires of every net of a routed design, by its name: a bit each, ``count[3]``.

    Parameters
    ----------
    text : str
        What ``nextpnr-ice40 --write`` wrote.

    Raises
    ------
    ToolError
        For a wire of unknown kind, by name, and for text of another form.
    """
    try:
        modules: dict[str, Any] = json.loads(text)["modules"]
        ((_, top),) = modules.items()
        routings = {
            name: net["attributes"].get("ROUTING", "") for name, net in top["netnames"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ToolError(f"this is no routed design of nextpnr-ice40: {error!r}") from error
    return {name: wires_of(routing) for name, routing in routings.items()}


def wires_of(routing: str) -> Wires:
    """Return the wires of an attribute ``ROUTING``.

    Raises
    ------
    ToolError
        For a wire of unknown kind, by name.

    >>> wires_of("X1/Y3/lutff_5:out;;1;X2/Y3/local_g2_5;X2/Y3/1.3.lutff_5:out.->.2.3.local_g2_5;1")
    Wires(local=2, neighbour=1, span4=0, span12=0, global_=0, carry=0)
    """
    parts = routing.strip().split(";") if routing.strip() else []
    counts = Counter(_kind(wire) for wire in parts[::3])
    del counts["none"]
    taken = filter(None, map(_TAKEN.fullmatch, parts[1::3]))
    counts["neighbour"] = sum(match[1] != match[2] for match in taken)
    return Wires(**counts)


def _kind(wire: str) -> str:
    named = _WIRE.fullmatch(wire)
    found = _KIND.fullmatch(named[1]) if named else None
    if found is None or found.lastgroup is None:
        raise ToolError(
            f"nextpnr-ice40 routed a net over {wire}, a wire of a kind that is not known; known "
            "are those of hw/energy/wires.py"
        )
    return next(kind for kind in _KINDS if found[kind] is not None)
