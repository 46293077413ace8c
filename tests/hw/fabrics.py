"""Fabrics by name, as tests are parametrised."""

from narrowgauge.hw.mac.fabric import ANY
from narrowgauge.hw.synth.family import ECP5, GOWIN, ICE40, XC7

FABRICS = {"any fabric": ANY} | {each.name: each.fabric for each in (ICE40, ECP5, GOWIN, XC7)}
