"""Rows that the repository keeps of its studies."""

import pytest

from narrowgauge.scripts.papers.kept import KeptRows, kept
from narrowgauge.scripts.papers.perform import STUDIES


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_no_two_rows_are_of_a_cell_and_all_are_of_the_plan(study):
    rows = KeptRows.read(kept(study.name)).rows
    assert rows
    places = [tuple(row.get(name) for name in study.names) for row in rows]
    assert len(set(places)) == len(places)
    planned = [*study.cells(False), *study.then(rows)]
    there = {tuple(cell.columns.get(name) for name in study.names) for cell in planned}
    assert set(places) <= there
    assert len(study.findings(rows)) == len(study.claims)
