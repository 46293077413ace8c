"""What a study is: a plan of cells, claims about their rows, figures, and a page of all that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from ..jobs.job import Job, Plain

__all__ = ["Cell", "Claim", "Finding", "Rows", "Study", "StudyFigure", "StudyRow", "Verdict"]

StudyRow: TypeAlias = dict[str, Plain]
"""The columns of a cell, and what its job gives."""
Rows: TypeAlias = Sequence[StudyRow]


class Verdict(StrEnum):
    """What rows say of a claim."""

    HOLDS = "holds"
    CONDITIONS = "holds with conditions"
    NOT = "does not hold here"
    UNTESTED = "not tested"


@dataclass(frozen=True)
class Cell:
    """A row to be: its columns, and the job that gives the others."""

    columns: Mapping[str, Plain]
    job: Job


@dataclass(frozen=True)
class Finding:
    """A verdict, and the figures that it rests on: with deviation, seeds and images."""

    verdict: Verdict
    figures: str


@dataclass(frozen=True)
class Claim:
    """A claim, and its test.

    Attributes
    ----------
    text : str
        What is claimed.
    test : callable
        Returns what rows say. It gets rows that passed the study's controls.
    changes : str
        What would change the verdict.
    """

    text: str
    test: Callable[[Rows], Finding]
    changes: str


@dataclass(frozen=True)
class StudyFigure:
    """A picture: the end of its file's name, what it shows, and what draws it as SVG."""

    name: str
    caption: str
    draw: Callable[[Rows], bytes]


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study of a paper.

    Attributes
    ----------
    name, title : str
        ``narrowgauge study NAME``, and the head of its page.
    question, method, differs : str
        Markdown for the page: what is asked, what is done, and what differs from the paper.
    datasets : tuple of str
        What it needs.
    cells : callable
        Return the plan; with True, the small part of it that ``--quick`` measures anew.
    then : callable
        Return cells that follow from the rows of the plan; none follow with ``--quick``.
    names : tuple of str
        The columns in which no two rows agree.
    controls : sequence of callable
        Each returns what is wrong with rows, or "" where nothing is: facts that must be so whatever
        the claims say. Where one fails every claim is *not tested*.
    claims, figures : sequences
    tables : callable
        Returns tables of rows as Markdown.
    """

    name: str
    title: str
    question: str
    method: str
    differs: str
    datasets: tuple[str, ...]
    cells: Callable[[bool], list[Cell]]
    then: Callable[[Rows], list[Cell]]
    names: tuple[str, ...]
    controls: Sequence[Callable[[Rows], str]]
    claims: Sequence[Claim]
    figures: Sequence[StudyFigure]
    tables: Callable[[Rows], str]

    def findings(self, rows: Rows) -> list[Finding]:
        """Return what rows say of the claims, in their order."""
        broken = "; ".join(filter(None, (control(rows) for control in self.controls)))
        if broken:
            return [Finding(Verdict.UNTESTED, f"rows fail a control: {broken}")] * len(self.claims)
        return [claim.test(rows) for claim in self.claims]
