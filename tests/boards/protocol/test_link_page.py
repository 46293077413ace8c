"""What ``docs/link.md`` says is what the code does."""

import re
import struct
from pathlib import Path

import pytest

from narrowgauge.boards.protocol.frame import ANSWER, ERROR, OVERHEAD, PROTOCOL, SYNC, Error, Type
from narrowgauge.boards.protocol.info import FIELDS

PAGE = (Path(__file__).parents[3] / "docs" / "link.md").read_text(encoding="utf-8")


def rows(first, page=PAGE):
    """The cells of the table whose head begins with ``first``."""
    body = re.search(rf"^\| {first} \|.*\n\|.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert body is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body[1].splitlines()]


def test_requests_are_those_of_the_code():
    assert [(name, int(code, 16)) for name, code, *_ in rows("request")] == [
        (each.name, each.value) for each in Type
    ]


def test_errors_are_those_of_the_code():
    assert [(name, int(code)) for name, code, _ in rows("error")] == [
        (each.name, each.value) for each in Error if each
    ]


def test_the_frame_is_that_of_the_code():
    frame = rows("field")
    assert sum(int(size) for _, size, _ in frame if size != "length") == OVERHEAD
    assert [name for name, *_ in frame] == "sync type sequence length payload check".split()
    assert frame[0][2] == f"0x{SYNC:X}"
    assert f"0x{ANSWER:X}" in frame[1][2]
    assert f"0x{ERROR:X}" in frame[1][2]


def test_the_answer_to_info_is_that_of_the_code():
    after = PAGE[PAGE.index("INFO answers") :]
    assert [(name, int(size)) for name, size, _ in rows("field", after)] == [
        (name, struct.calcsize(f"<{kind}")) for name, kind in FIELDS.items()
    ]
    assert rows("field", after)[0][2].endswith(f", {PROTOCOL}")


@pytest.mark.parametrize("wrong", [("| BUSY | 3 |", "| BUSY | 4 |")])
def test_a_page_that_is_not_current_would_be_seen(wrong):
    changed = PAGE.replace(*wrong)
    assert changed != PAGE
    assert rows("error", changed) != rows("error")
