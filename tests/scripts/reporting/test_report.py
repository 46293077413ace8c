"""The report of real rows: files, numbers, less than all, and bad input."""

import copy
import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from PIL import Image

from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.synth.targets import target
from narrowgauge.scripts.commands.report import command
from narrowgauge.scripts.papers.html_page import html_page
from narrowgauge.scripts.papers.kept import KeptRows
from narrowgauge.scripts.papers.perform import STUDIES
from narrowgauge.scripts.papers.tostado.study import STUDY as TOSTADO
from narrowgauge.scripts.reporting.assemble import figures
from narrowgauge.scripts.reporting.palette import colour
from narrowgauge.scripts.reporting.quantities import cost, density, intensity, kind, peak, sustained
from narrowgauge.scripts.reporting.roofline import memory_bits
from narrowgauge.scripts.reporting.rows import read
from narrowgauge.scripts.rows.row import ResultRow

from .reports import NETWORKS, PLAIN, ROWS, UNITS, write_report

MADE = {"command": "x", "date": "y", "versions": {}, "machine": "z", "data": {}}
NAMES = ["cost", "accuracy", "throughput", "clock", "roofline"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report of all rows."""
    return write_report(tmp_path_factory.mktemp("report"))


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._open = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1] += data

    def outside(self):
        """Every address that the page would load from elsewhere, or lead to."""
        names = ("src", "href", "srcset", "data", "action", "poster", "background")
        links = [attrs[name] for _, attrs in self.tags for name in names if attrs.get(name)]
        return [link for link in links if not link.startswith(("#", "data:"))]


def traces(page):
    return [trace for panel in json.loads(page.scripts[1]) for trace in panel["data"]]


def drawn(page):
    """The numbers of the rows that have a mark somewhere in the page."""
    return {row for trace in traces(page) for row in trace.get("customdata", [])}


# --- the files -----------------------------------------------------------------------------------


def test_the_page_needs_nothing_from_elsewhere(report):
    text = (report / "report.html").read_text()
    page = Page(text)
    assert page.outside() == []
    assert Page(text.replace("</head>", '<script src="https://x/y.js"></script></head>')).outside()
    (policy,) = [
        attrs["content"]
        for tag, attrs in page.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert text.count("plotly.js v") == 1  # the library is there, once


def test_every_measured_row_is_drawn_and_every_row_is_listed(report):
    page = Page((report / "report.html").read_text())
    body = [attrs for tag, attrs in page.tags if tag == "tr" and "data-format" in attrs]
    assert len(body) == len(ROWS) + 1  # the failure once more, with its reason
    assert len(drawn(page)) == sum(row.lut is not None for row in ROWS)


def test_a_failure_stands_with_its_reason(report):
    (failure,) = [row.failure for row in ROWS if row.failure]
    assert f'<td class="reason">{failure}</td>' in (report / "report.html").read_text()


def test_rows_that_were_not_routed_say_so(report):
    text = (report / "report.html").read_text()
    assert "<h3>hx8k <small>not routed</small></h3>" in text
    assert "<h3>up5k</h3>" in text
    assert "hx8k: 0 routed, 4 not routed" in text


def test_provenance_names_files_tools_and_seeds(report):
    text = (report / "report.html").read_text()
    for row in ROWS:
        for name, version in (row.tools or {}).items():
            assert f"{name} {version}" in text
    for words in ("1, 2, 3", "results.json: 5 rows", "report_rows.json", "narrowgauge 0."):
        assert words in text


@pytest.mark.parametrize("name", NAMES)
def test_each_figure_is_a_picture_a_drawing_and_a_table(report, name):
    with Image.open(report / f"{name}.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 50
    assert ElementTree.parse(report / f"{name}.svg").getroot().tag.endswith("svg")
    (figure,) = [figure for figure in figures(ROWS) if figure.name == name]
    lines = list(csv.DictReader((report / f"{name}.csv").read_text().splitlines()))
    assert lines
    for line, (panel, series, mark) in zip(lines, figure.marks(), strict=True):
        assert line["weight"] == series.format
        assert line["panel"] == panel.title
        assert float(line[figure.y.column]) == mark.y


def test_a_report_is_written_the_same_again(report, tmp_path, invoke):
    assert invoke("report", UNITS, NETWORKS, "-o", tmp_path / "again").status == 0
    for path in report.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


# --- the numbers ---------------------------------------------------------------------------------


def test_quantities_by_hand():
    row = ResultRow(weight="int8", activation="uint4", rows=2, columns=3, lanes=4)
    row |= {"target": "up5k", "lut": 1200, "fmax_mhz": 50.0, "fmax_mhz_min": 40.0}
    assert kind(row) == "array"
    assert cost(row) == 50
    assert peak(row) == pytest.approx(1.2)
    assert density(row) == pytest.approx(1.0)
    assert density(row, row.fmax_mhz_min) == pytest.approx(0.8)
    assert intensity(row) == pytest.approx(6 / (3 * 8 + 2 * 4))
    assert sustained(row) is None
    assert sustained(row | {"utilisation": 0.5}) == pytest.approx(0.6)
    mac = ResultRow(weight="int8", activation="uint4", lanes=4, lut=1200, target="up5k")
    assert (kind(mac), cost(mac), peak(mac), intensity(mac)) == ("MAC", 300, None, None)


def test_memory_is_all_ports_of_the_device():
    assert memory_bits(target("up5k")) == 30 * 16 + 4 * 16
    assert memory_bits(target("ecp5-85k")) == 208 * 36


def test_these_arrays_can_be_fed_from_block_ram():
    (roof,) = [figure for figure in figures(ROWS) if figure.name == "roofline"]
    for panel in roof.panels:
        (x, y), _ = panel.lines[0].points
        assert all(mark.y <= mark.x * y / x for s in panel.series for mark in s.marks)
    assert {panel.target for panel in roof.panels} == {"up5k", "ecp5-25k"}


def test_the_front_has_no_point_that_another_beats():
    (figure,) = [figure for figure in figures(ROWS) if figure.name == "accuracy"]
    (panel,) = figure.panels
    front = next(line for line in panel.lines if line.role == "front").points
    points = {(mark.x, mark.y) for series in panel.series for mark in series.marks}
    for x, y in points:
        beaten = any(a <= x and b >= y and (a, b) != (x, y) for a, b in points)
        assert ((x, y) in front) != beaten
    assert len(points) == 4
    assert 1 < len(front) < 4  # some are beaten, whichever they are in the kept rows


def test_fmax_has_its_spread_as_measured():
    (figure,) = [figure for figure in figures(ROWS) if figure.name == "clock"]
    for _, _, mark in figure.marks():
        row = ROWS[mark.row]
        assert (mark.low, mark.y, mark.high) == (row.fmax_mhz_min, row.fmax_mhz, row.fmax_mhz_max)


def test_formats_have_colours_of_their_own():
    names = ["bipolar", "pow2_4", "int2", "int4", "int8", "int16", "e3m2", "e4m3"]
    assert len({colour(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour(name)) for name in [*names, "float", "x"])


# --- less than all -------------------------------------------------------------------------------


def test_a_figure_without_data_says_which_command_gives_it(invoke, tmp_path):
    rows = [row.plain() for row in ROWS if kind(row) == "network"]
    (tmp_path / "networks.json").write_text(json.dumps(rows))
    assert invoke("report", tmp_path / "networks.json", "-o", tmp_path / "out").status == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert "It would come from <code>narrowgauge compare macs</code>" in text
    assert not (tmp_path / "out" / "cost.png").exists()
    assert (tmp_path / "out" / "accuracy.png").exists()


def test_only_failures_are_still_a_report(invoke, tmp_path):
    rows = [row for row in PLAIN if "failure" in row]
    (tmp_path / "failures.json").write_text(json.dumps(rows))
    assert invoke("report", tmp_path / "failures.json", "-o", tmp_path / "out").status == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert rows[0]["failure"] in text
    assert text.count('<p class="missing">No row') == 7


def test_the_default_is_what_run_wrote(invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_bytes(NETWORKS.read_bytes())
    (tmp_path / "results" / "other.json").write_text('{"rows": 3}')
    finished = invoke("report")
    assert finished.status == 0
    assert "left out: results/other.json has no result rows" in finished.err
    assert (tmp_path / "report" / "report.html").exists()


def test_a_row_in_two_files_counts_once(invoke, tmp_path):
    (tmp_path / "copy.json").write_text(json.dumps(json.loads(NETWORKS.read_text())))
    out = invoke("report", NETWORKS, tmp_path / "copy.json", "-o", tmp_path / "out").out
    assert out.startswith("5 rows\n")


def test_texts_of_rows_are_only_text(invoke, tmp_path):
    rows = copy.deepcopy([row.plain() for row in ROWS if kind(row) == "network"])
    evil = "</script><img src=x onerror=alert(1)>"
    for row in rows:
        row["network"] = evil
    (tmp_path / "evil.json").write_text(json.dumps(rows))
    assert invoke("report", tmp_path / "evil.json", "-o", tmp_path / "out").status == 0
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert "img" not in {tag for tag, _ in page.tags}
    assert len(page.scripts) == 3
    assert not any("<img" in text for trace in traces(page) for text in trace.get("hovertext", []))


# --- bad input -----------------------------------------------------------------------------------

GOOD = {"weight": "int8", "target": "up5k", "lanes": 1, "lut": 10}
CLOCK = GOOD | {"fmax_mhz": 50.0, "fmax_mhz_min": 40.0, "fmax_mhz_max": 60.0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ("cannot read", "narrowgauge run")),
        ("", ("is empty",)),
        ("[{", ("is not JSON",)),
        ("{}", ("has no result rows",)),
        ("[]", ("has no result rows",)),
        ("[3]", ("entry 1 has no column 'weight'",)),
        ('[{"weight": "int8"}]', ("entry 1 has none of lut",)),
        (json.dumps([GOOD, GOOD | {"lut": "many"}]), ("row 2: lut is 'many'", "number")),
        ('[{"weight": "int8", "target": "up5k", "lut": NaN}]', ("row 1: lut is nan",)),
        (json.dumps([GOOD | {"lanes": 0}]), ("row 1: lanes is 0", "positive")),
        (json.dumps([GOOD | {"target": 5}]), ("row 1: target is 5", "text")),
        (json.dumps([{"weight": "int8", "lut": 1}]), ("row 1", "which target")),
        (json.dumps([GOOD | {"tools": "yosys"}]), ("row 1: tools is 'yosys'",)),
        (
            json.dumps([CLOCK | {"fmax_mhz": 0.0}]),
            ("row 1: fmax_mhz is 0.0", "a number from 1e-09"),
        ),
        (json.dumps([CLOCK | {"fmax_mhz": -3}]), ("row 1: fmax_mhz is -3", "a number from")),
        (json.dumps([CLOCK | {"fmax_mhz_min": 0}]), ("row 1: fmax_mhz_min is 0", "a number from")),
        (json.dumps([CLOCK | {"fmax_mhz_min": 1e-320}]), ("row 1: fmax_mhz_min is 1e-320",)),
        (
            json.dumps([CLOCK | {"fmax_mhz_min": 55}]),
            ("row 1: fmax_mhz_min is 55", "not be above fmax_mhz, which is 50.0"),
        ),
        (
            json.dumps([GOOD | {"fmax_mhz_min": 9, "fmax_mhz_max": 8}]),
            ("row 1: fmax_mhz_min is 9", "not be above fmax_mhz_max, which is 8"),
        ),
        (json.dumps([CLOCK | {"utilisation": -1}]), ("utilisation is -1", "from 0 to 1")),
        (json.dumps([CLOCK | {"utilisation": 1.5}]), ("utilisation is 1.5", "from 0 to 1")),
        (json.dumps([CLOCK | {"utilisation": 1e-320}]), ("utilisation is 1e-320", "nearer")),
        (json.dumps([GOOD | {"accuracy_hardware": 95.1}]), ("accuracy_hardware is 95.1", "0 to 1")),
        (json.dumps([GOOD | {"lut": 1e308}]), ("row 1: lut is 1e+308", "to 1e+12")),
        (json.dumps([GOOD | {"lut": 10**400}]), ("row 1: lut is 1000", "...", "to 1e+12")),
        (json.dumps([GOOD | {"lanes": 10**400}]), ("row 1: lanes is 1000", "at most 1e+12")),
        ("[" + 5000 * "1" + "]", ("is not JSON", "digits")),
        (json.dumps([GOOD | {"network": "\ud800"}]), ("network is '\\ud800'", "halves")),
        (json.dumps([GOOD | {"weight": "a\0b"}]), ("weight is 'a\\x00b'", "control characters")),
        (json.dumps([GOOD | {"tools": {"\udfff": "1"}}]), ("row 1: tools is", "halves")),
        (json.dumps([GOOD | {"\ud800": 1}]), ("row 1: \\ud800 is 1", "halves")),
    ],
)
def test_bad_input_is_one_line(invoke, tmp_path, content, words):
    path = tmp_path / "bad.json"
    if content is not None:
        path.write_text(content)
    invoke("report", path, "-o", tmp_path / "out").fails_with(1, "bad.json", *words)
    assert not (tmp_path / "out").exists()


def test_rows_of_others_are_drawn_as_far_as_they_go(invoke, tmp_path):
    rows = [
        CLOCK | {"weight": "zork"},  # neither a mark nor a limit of the roofline
        CLOCK | {"target": "hx8k", "rows": 3},
        CLOCK | {"target": "gw1n-9", "lut": -4, "lanes": 10**12, "zork": {"a": [1]}},
        CLOCK | {"target": "ice9"},
        CLOCK
        | {"target": "a $\\frac$", "network": "$", "dataset": "$^$", "accuracy_hardware": 0.5},
        CLOCK
        | {"target": "ecp5-25k", "rows": 2, "columns": 2, "activation": "uint8"}
        | {"utilisation": 0, "bram": 1},
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    finished = invoke("report", tmp_path / "rows.json", "-o", tmp_path / "out")
    assert finished.status == 0, finished.err
    drawn = (tmp_path / "out" / "roofline.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in drawn] == ["panel", "ecp5-25k"]
    ElementTree.parse(tmp_path / "out" / "accuracy.svg")


def test_a_folder_without_results_is_one_line(invoke, tmp_path):
    (tmp_path / "empty").mkdir()
    finished = invoke("report", tmp_path / "empty", "-o", tmp_path / "out")
    finished.fails_with(1, "empty", "no JSON file", "narrowgauge run")


# --- studies -------------------------------------------------------------------------------------


def study_folder(folder, note=""):
    """A folder of results with rows of a study in its own folder, as `study` writes."""
    (folder / "studies").mkdir(parents=True)
    kept = json.loads((NETWORKS.parent / "studies" / "tostado2019.json").read_text())
    kept["made"][0]["note"] = note
    (folder / "studies" / "tostado2019.json").write_text(json.dumps(kept))
    return folder


def test_a_study_has_a_section(tmp_path, monkeypatch):
    study = replace(TOSTADO, figures=TOSTADO.figures[-1:])  # heat maps take seconds
    monkeypatch.setitem(STUDIES, "tostado2019", study)
    planted = '<img src="https://x/y.png">\n\n<script src="https://x/y.js"></script>\n\n'
    folder = study_folder(tmp_path / "results", planted)
    done = CliRunner().invoke(command, [str(folder), "-o", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "0 rows; studies: tostado2019" in done.output
    assert "left out" not in done.output
    text = (tmp_path / "report" / "report.html").read_text()
    section = re.search(r'<section id="tostado2019" class="study">.*?</section>', text, re.S)
    assert section is not None
    for claim in study.claims:
        assert f"<strong>{claim.text}: " in section[0]
    assert section[0].count("data:image/svg+xml;base64,") == 1
    tags = {tag for tag, _ in Page(section[0]).tags}
    assert {"table", "h2", "h3", "img"} <= tags
    assert not {"h1", "script"} & tags
    assert [link for link in Page(section[0]).outside() if "doi.org" not in link] == []
    assert "a &lt;b&gt;" in html_page(study, KeptRows([], [{**MADE, "note": "a <b>"}]))


def test_what_the_repository_keeps_can_be_shown():
    sources, left_out = read([NETWORKS.parent])
    assert {"results.json", "macs.json", "slices.json"} <= {each.path.name for each in sources}
    assert not any("macs" in each for each in left_out)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            {"study": "other", "rows": [], "made": []},
            "no study 'other'; there is debruin2020",
        ),
        ({"study": "tostado2019", "rows": [{"e": 1}], "made": []}, "do not say how they were made"),
        ({"study": "tostado2019"}, "not a file of a study's rows"),
        ({"study": "tostado2019", "rows": [1], "made": []}, "rows is no list of such"),
        ({"study": "tostado2019", "rows": [{"made": 0}], "made": [{}]}, "has in this version"),
    ],
)
def test_a_damaged_study_is_said_in_one_line(tmp_path, content, said):
    path = tmp_path / "study.json"
    path.write_text(json.dumps(content))
    done = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "report")])
    assert isinstance(done.exception, NarrowgaugeError)
    assert said in str(done.exception)
