"""The report in a headless Chromium: it loads without a word, draws, filters, sorts, prints."""

import pytest

from . import browser
from .reports import PLAIN, write_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser.find() is None,
        reason=f"no browser: none of {', '.join(browser.NAMES)} is on the PATH",
    ),
]

MARKS = "document.querySelectorAll('#{} .scatterlayer .point').length"
LISTED = "document.querySelectorAll('#rows tbody tr:not([hidden])').length"
COUNT = "document.getElementById('count').textContent"
FRONT = (
    "(() => { const t = document.getElementById('accuracy-0').data.find("
    "t => t.meta.role === 'front'); return t.x.map((x, n) => [x, t.y[n]]); })()"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return (write_report(tmp_path_factory.mktemp("report")) / "report.html").as_uri()


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with browser.Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(opened, address):
    """The page, loaded; nothing may go wrong in it while a test lasts."""
    opened.resize(1280, 900)
    opened.open(address)
    yield opened
    assert opened.errors == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [address]


def points(**wanted):
    """How many rows with a clock have these values."""
    return sum(
        "fmax_mhz" in row and all(row[name] == value for name, value in wanted.items())
        for row in PLAIN
    )


def test_every_row_has_a_mark_and_a_line(page):
    assert page.ask(MARKS.format("clock")) == points()
    assert page.ask(MARKS.format("cost")) > 0
    assert page.ask(MARKS.format("roofline")) > 0
    assert page.ask(LISTED) == len(PLAIN)
    assert page.ask(COUNT) == f"{len(PLAIN)} of {len(PLAIN)} rows"


def test_filters_act_on_figures_and_table(page):
    page.click("#filters input[value=int8]")
    page.wait(f"{MARKS.format('clock')} === {points() - points(weight='int8')}")
    left = [row for row in PLAIN if row["weight"] != "int8"]
    assert page.ask(LISTED) == len(left)

    page.click("#filters input[value=up5k]")
    left = [row for row in left if row.get("target") != "up5k"]
    assert page.ask(LISTED) == len(left)
    assert page.ask(COUNT) == f"{len(left)} of {len(PLAIN)} rows"
    shown = (
        "[...document.querySelectorAll('#clock .panel:not([hidden])')].map(p => p.dataset.target)"
    )
    assert page.ask(shown) == ["ecp5-25k"]
    assert page.ask("document.querySelector('#accuracy .nothing').hidden") is False

    page.click("#all")
    page.wait(f"{MARKS.format('clock')} === {points()}")
    assert page.ask(LISTED) == len(PLAIN)


def test_the_front_is_of_what_is_shown(page):
    networks = {row["weight"]: row for row in PLAIN if row.get("network") and "lut" in row}

    def front(rows):
        found = []
        for row in sorted(rows, key=lambda row: row["lut"]):
            point = [row["lut"], 100 * row["accuracy_hardware"]]
            if not found or point[1] > found[-1][1]:
                found.append(point)
        return found

    assert page.ask(FRONT) == front(networks.values())
    page.click("#filters input[value=int4]")
    page.wait(f"{FRONT}[1][0] === {networks['pow2_4']['lut']}")
    del networks["int4"]
    assert page.ask(FRONT) == front(networks.values())


def test_a_link_shows_the_same_selection(page, address):
    page.click("#filters input[value=bipolar]")
    link = page.ask("location.href")
    assert link.startswith(f"{address}#formats=")
    left = page.ask(LISTED)
    page.open(address)
    assert page.ask(LISTED) == len(PLAIN)
    page.ask(f"location.hash = {link.partition('#')[2]!r}")
    page.wait(f"{LISTED} === {left}")
    assert page.ask("document.querySelector('#filters input[value=bipolar]').checked") is False


def test_a_mark_shows_its_row(page):
    page.ask("document.getElementById('cost').scrollIntoView()")
    x, y = page.ask(
        "(() => { const b = document.querySelector('#cost-0 .point').getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    page.point(x - 2, y)
    page.point(x, y)
    page.wait("document.querySelector('#cost-0 .hoverlayer').textContent !== ''")
    text = page.ask("document.querySelector('#cost-0 .hoverlayer').textContent")
    row = next(row for row in PLAIN if row["target"] == "up5k")
    assert f"{row['weight']} x {row['activation']}" in text
    assert f"{row['lut']} LUT" in text


def test_a_click_on_a_head_sorts_and_another_turns_it_round(page):
    heads = "[...document.querySelectorAll('#rows th')]"
    number = page.ask(f"{heads}.findIndex(h => h.textContent.trim() === 'LUT')")
    column = (
        f"[...document.querySelectorAll('#rows tbody tr')].map(r => r.cells[{number}].dataset.key)"
    )
    measured = sorted(row["lut"] for row in PLAIN if "lut" in row)
    empty = [""] * (len(PLAIN) - len(measured))
    for order in (measured, measured[::-1]):
        page.click(f"#rows th:nth-child({number + 1}) button")
        assert page.ask(column) == [*map(str, order), *empty]


@pytest.mark.parametrize("width", [1280, 800])
def test_the_page_is_no_wider_than_the_window(page, width):
    page.resize(width, 900)
    page.wait("document.getElementById('cost-0')._fullLayout.width < innerWidth")
    assert page.ask("document.documentElement.scrollWidth") <= width


def test_it_prints(page):
    assert page.print().startswith(b"%PDF")


def test_an_error_in_a_page_is_seen(opened, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<html><script>document.documentElement.dataset.ready = 'yes'; console.error('no');"
        "missing();</script><img src='https://example.invalid/x.png'></html>"
    )
    opened.open(bad.as_uri())
    opened.wait("document.readyState === 'complete'")
    assert any("missing is not defined" in error for error in opened.errors)
    assert any("no" in error for error in opened.errors)
    assert any("example.invalid" in request for request in opened.requests)
