"""Bits that a network takes in memory, and that an image moves there: arithmetic, not gates."""

from dataclasses import dataclass

from .fetching import bank_cycles, position_cycles
from .layout import Program
from .records import Record

__all__ = ["Footprint", "footprint"]


@dataclass(frozen=True)
class Footprint:
    """Bits in memories, and to and from them.

    Attributes
    ----------
    activation_bits : int
        Of the activation memory, for one image: all tensors that are there at the same time, in
        whole words, and of several images in flight the share of one.
    weight_traffic : float
        Of the words of the weight memory that the array takes an image, in all columns and lanes.
        Rows share a word, so images in the rows do, too.
    activations_written, activations_read : float
        Of an image: written to the activation memory by loader, requantiser and max pool, and read
        from it by the feeder. The row buffers replay what was read for other tiles, which is not
        counted again.
    """

    activation_bits: int
    weight_traffic: float
    activations_written: float
    activations_read: float

    @property
    def activation_traffic(self) -> float:
        """Bits of an image that are written or read."""
        return self.activations_written + self.activations_read


def footprint(program: Program) -> Footprint:
    """Return what a program takes and moves; a context's figures are shared by its images."""
    weight, _ = program.memories["weights"]
    word, depth = program.memories["activations"]
    records, batch = program.records, program.batch
    taken = sum(_weight_words(record) for record in records) / batch
    read = sum(_words_read(record, program) for record in records) / batch
    written = sum(_codes_written(record, program) for record in records) / program.geometry.lanes
    return Footprint(
        activation_bits=depth * word // program.images,
        weight_traffic=taken * weight,
        activations_written=(_words_loaded(program) + written) * word,
        activations_read=read * word,
    )


def _weight_words(record: Record) -> int:
    """Return the steps of a layer for all images of a context; each takes a word."""
    if not record.on_array:
        return 0
    return record.banks * record.tiles.shifts * sum(record.tiles.lengths)


def _words_read(record: Record, program: Program) -> int:
    """Return the words that the feeder reads for a layer for all images of a context."""
    words = position_cycles(record.feed, program.geometry.lanes, whole=True)
    if not record.on_array:
        return program.batch * int(words.sum())
    return sum(bank_cycles(record, words, program.geometry.rows))


def _codes_written(record: Record, program: Program) -> int:
    """Return the codes that a layer writes of an image, in the segments of words that it does."""
    if not record.place.stored:
        return 0
    size, place = program.network.sizes[record.mapped.layer.name], record.place
    last = place.channels - (place.groups - 1) * place.group_channels
    groups = [place.group_channels] * (place.groups - 1) + [last]
    segments = sum(-(-channels // program.segment) for channels in groups)
    return size.height * size.width * segments * program.segment


def _words_loaded(program: Program) -> int:
    """Return the words of an image that arrives, in all its bit planes."""
    return -(-program.network.inputs // program.geometry.lanes) * program.input_planes
