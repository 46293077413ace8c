"""What README and documentation promise: current figures, commands that parse, code that runs."""

import argparse
import importlib
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from narrowgauge.hw.network.file import save
from narrowgauge.hw.numbers.arithmetic import Accumulator
from narrowgauge.scripts.cli import COMMANDS, group
from narrowgauge.scripts.studies.__main__ import studies
from narrowgauge.scripts.studies.record import MODULE

from .hw.networks import random_network
from .pages import networks, update

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`((?:narrowgauge|python|pip)\s[^`]+)`(?!`)")
STUDY = ["python", "-m", MODULE]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    return [text for found, text in BLOCK.findall(read(page)) if found == language]


def shown():
    """Every command in a block or a code span, with its page, and those that results keep."""
    for page in PAGES:
        lines = [line for text in blocks(page, "sh") for line in text.splitlines()]
        for line in lines + SPAN.findall(BLOCK.sub("", read(page))):
            for part in " ".join(line.split()).split(" && "):
                if words := shlex.split(part, comments=True):
                    yield page.name, [Path(words[0]).name, *words[1:]]
    for page in sorted((ROOT / "docs" / "results").glob("*.json")):
        for command in dict.fromkeys(re.findall(r'"command": "(.+)"', read(page))):
            yield from ((page.name, shlex.split(part)) for part in command.split(" && "))


def commands(*start):
    """The arguments of the commands that begin so."""
    for page, words in shown():
        if words[: len(start)] == [*start]:
            yield pytest.param(words[len(start) :], id=f"{page}: {' '.join(words)}")


def find(name):
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


@pytest.mark.parametrize("words", list(commands("narrowgauge")))
def test_every_command_shown_parses(words):
    name, *arguments = words
    assert name in COMMANDS
    command = find(name)
    if arguments or not any(parameter.required for parameter in command.params):
        command.make_context(name, arguments)


def test_an_option_that_does_not_exist_would_be_seen():
    with pytest.raises(click.UsageError, match="--sedes"):
        find("run").make_context("run", ["--sedes", "3"])


class Parsed(Exception):
    """Arguments were understood."""


@pytest.fixture
def parse(monkeypatch):
    """Parse the command of a study, and go no further."""
    parse = argparse.ArgumentParser.parse_args

    def stop(*arguments):
        parse(*arguments)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)

    def parsed(name, *arguments):
        importlib.import_module(f"{MODULE}.{name}").main(arguments)

    return parsed


@pytest.mark.parametrize("words", list(commands(*STUDY)))
def test_every_study_shown_parses(words, parse):
    assert not words or words[0] in studies()
    if len(words) > 1:
        with pytest.raises(Parsed):
            parse(*words)


def test_an_option_that_a_study_has_not_would_be_seen(parse, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("peaks", "--sedes", "3")
    assert "--sedes" in capsys.readouterr().err


def test_no_other_command_is_shown():
    others = {page: words for page, words in shown() if not known(words)}
    assert others == {}


def known(words):
    """Whether a command is tested here, sets up an environment, or is one of the checks of CI."""
    match words:
        case ["narrowgauge", *_] | ["python", "-m", "narrowgauge.scripts.studies", *_]:
            return True
        case ["python3", "-m", "venv", ".venv"] | ["pip", "install", *_]:
            return True
        case ["pytest" | "ruff" | "pyright", *_] | ["python", "-m", "tests.replay", *_]:
            return True
        case ["python", "-m", module, *_] if module.startswith("tests."):
            return (ROOT / (module.replace(".", "/") + ".py")).exists()
        case ["python", "docs/update.py" | ".ci/links.py" | ".ci/lock.py"]:
            return True
    return False


def test_the_two_commands_stand_alone_in_a_block():
    single = [text.strip() for text in blocks(ROOT / "README.md", "sh") if text.count("\n") == 1]
    for end in (".venv/bin/narrowgauge run", ".venv/bin/pytest -n auto"):
        (line,) = [line for line in single if line.endswith(end)]
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")


def test_the_table_is_current():
    assert update.main(["--check"]) == 0


def test_a_table_that_is_not_current_is_seen(tmp_path, monkeypatch, capsys):
    rows = json.loads(read(networks.RESULTS))
    rows[-1]["lut"] += 1
    changed = tmp_path / "results.json"
    changed.write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setattr(networks, "RESULTS", changed)
    assert update.main(["--check"]) == 1
    assert "docs/update.py" in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in LINK.findall(read(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        if anchor:
            titles = [re.sub(r"[^\w\- ]", "", title) for title in HEADING.findall(read(target))]
            assert anchor in [title.lower().replace(" ", "-") for title in titles], link


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    network = random_network(0, ("int4", "uint4", "uint4"), [64, 64, 32, 10], Accumulator(11))
    save(network, "digits.safetensors")
    names = {"__name__": page.stem}
    for number, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"{page.name}, block {number}", "exec"), names)
