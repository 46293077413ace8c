"""Whatever a path is: written whole, written into, or refused, and left as it was."""

import ast
import errno
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from narrowgauge.hw import files
from narrowgauge.hw.errors import NarrowgaugeError
from narrowgauge.hw.files import cache_folder, check_writable, write_atomically, written

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_the_umask_decides_the_mode_of_a_new_file_and_the_old_one_that_of_its_successor(tmp_path):
    path = tmp_path / "new folder" / "file"
    write_atomically(path, b"one")
    assert mode(path) == 0o640
    path.chmod(0o604)
    write_atomically(path, b"two")
    assert (mode(path), path.read_bytes()) == (0o604, b"two")
    assert list(path.parent.iterdir()) == [path]


def test_a_link_stays_one_and_its_target_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    target, link, dangling = tmp_path / "there" / "a", tmp_path / "a", tmp_path / "b"
    target.write_bytes(b"old")
    link.symlink_to("there/a")
    dangling.symlink_to("there/b")
    for path in (link, dangling):
        check_writable(path)
        write_atomically(path, b"new")
        assert path.is_symlink()
    assert sorted(each.name for each in target.parent.iterdir()) == ["a", "b"]
    assert target.read_bytes() == dangling.read_bytes() == b"new"


def test_a_pipe_is_written_into(tmp_path, monkeypatch):
    path, found = tmp_path / "pipe", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()))
    reader.start()
    check_writable(path)
    write_atomically(path, bytes(200_000))  # more than a pipe holds
    reader.join(10)
    assert found == [bytes(200_000)]
    assert path.is_fifo()
    monkeypatch.setattr(files, "_PATIENCE", 0.1)
    with pytest.raises(OSError, match="nobody reads from this pipe"):
        write_atomically(path, b"lost")


@pytest.mark.skipif(not AS_ROOT, reason="only root makes device nodes")
def test_a_device_node_stays_one(tmp_path):
    nodes = {
        "null": (stat.S_IFCHR, 1, 3),
        "full": (stat.S_IFCHR, 1, 7),
        "disk": (stat.S_IFBLK, 7, 99),
    }
    for name, (kind, *numbers) in nodes.items():
        try:
            os.mknod(tmp_path / name, kind | 0o600, os.makedev(*numbers))
        except PermissionError:
            pytest.skip("no device nodes here")
    write_atomically(tmp_path / "null", b"gone")
    (tmp_path / "link").symlink_to("full")
    for name in ("full", "link"):
        check_writable(tmp_path / name)
        with pytest.raises(OSError, match="No space") as caught:
            write_atomically(tmp_path / name, b"new")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / name))
    with pytest.raises(OSError, match="it is a block device"):
        check_writable(tmp_path / "disk")
    for name, (kind, *numbers) in nodes.items():
        there = (tmp_path / name).stat()
        assert (stat.S_IFMT(there.st_mode), there.st_rdev) == (kind, os.makedev(*numbers))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda path: path.mkdir(), IsADirectoryError, "Is a directory"),
        (lambda path: path.symlink_to(path.name), OSError, "symbolic links"),
        (lambda path: _bound(path), OSError, "it is a socket"),
        (lambda path: path.with_name("n" * 256), OSError, "name too long"),
        (lambda path: _beneath_a_file(path), NotADirectoryError, "Not a directory"),
    ],
)
def test_what_is_no_file_is_refused(tmp_path, monkeypatch, make, error, text):
    monkeypatch.chdir(tmp_path)
    path = make(Path("it")) or Path("it")
    for act in (check_writable, lambda path: write_atomically(path, b"new")):
        before = sorted(os.listdir())
        with pytest.raises(error, match=text) as caught:
            act(path)
        assert caught.value.filename == str(path)
        assert sorted(os.listdir()) == before


def _bound(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def _beneath_a_file(path):
    path.write_bytes(b"mine")
    return path / "file"


def test_a_name_of_full_length_is_written(tmp_path):
    write_atomically(tmp_path / ("n" * 255), b"new")


AS_NOBODY = """
import os, sys
from pathlib import Path
from narrowgauge.hw.files import check_writable, write_atomically
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
for path in map(Path, sys.argv[1:]):
    for act in (check_writable, lambda path: write_atomically(path, b"new")):
        try:
            act(path)
        except PermissionError as error:
            print(error.filename, error.strerror, sep=": ")
"""


def test_rights_are_told(tmp_path):
    """Of a folder that takes no file, and of a file that is write-protected."""
    for each in (tmp_path, *tmp_path.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    closed, kept, open_ = tmp_path / "closed", tmp_path / "open" / "kept", tmp_path / "open"
    for folder, rights in ((closed, 0o555), (open_, 0o777)):
        folder.mkdir()
        folder.chmod(rights)
    kept.write_bytes(b"old")
    kept.chmod(0o444)
    command = [sys.executable, "-c", AS_NOBODY, closed / "x", kept]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        *[f"{closed / 'x'}: Permission denied: no file can be made in the folder {closed}"] * 2,
        *[f"{kept}: it is write-protected"] * 2,
    ], done.stderr
    assert kept.read_bytes() == b"old"
    assert os.listdir(closed) == []


def test_a_limit_on_sizes_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_atomically(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_fault_on_the_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), written(path) as file:
        file.write(b"new" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_standard_output_is_written_to_where_it_stands(tmp_path):
    text = "from pathlib import Path; from narrowgauge.hw.files import write_atomically as write;"
    text += "print('a', flush=True); write(Path('/dev/stdout'), b'b\\n'); print('c')"
    path = tmp_path / "file"
    with path.open("w") as file:
        subprocess.run([sys.executable, "-c", text], stdout=file, check=True, timeout=60)
    assert path.read_text() == "a\nb\nc\n"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, timeout=60)
    assert done.stdout == b"a\nb\nc\n"


def test_a_user_without_a_home_is_told(monkeypatch):
    monkeypatch.delenv("NARROWGAUGE_CACHE", raising=False)
    monkeypatch.setattr(files.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")
    with pytest.raises(NarrowgaugeError, match="set NARROWGAUGE_CACHE"):
        cache_folder()
    monkeypatch.setenv("NARROWGAUGE_CACHE", "here")
    assert cache_folder() == Path("here")


# --- every writer goes through this --------------------------------------------------------------

WRITERS = {"write_text", "write_bytes", "touch", "rename", "tofile", "to_csv", "save_file", "savez"}
WRITERS |= {"write_html", "write_image", "NamedTemporaryFile", "mkstemp", "imsave", "savetxt"}
MODULES = {"os": {"replace", "open", "link", "symlink"}, "onnx": {"save", "save_model"}}
MODULES |= {"shutil": {"move", "copy", "copyfile", "copy2"}, "np": {"save"}, "torch": {"save"}}
MODULES |= {"image": {"save"}}
MEMORY = {"buffer", "image"}  # what is written to before it is written
ALLOWED = {
    "boards/build/board_flow.py:_nextpnr",  # into a temporary folder of its caller
    "hw/synth/death.py:keep",  # copies into a folder of the cache, named by their content
    "hw/synth/flow.py:run_router",  # into a temporary folder of its caller
    "scripts/studies/record.py:_alone",  # opens a folder, to lock it
    "scripts/studies/simulator_speeds.py:__init__",  # beside Verilator, in a scratch folder
    "scripts/studies/simulator_speeds.py:run",
    "hw/tools/store.py:_move_aside",  # of SQLite's file
}


def writers(tree):
    """Return function and line of every call that writes a file, but by `narrowgauge.hw.files`."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [each for each in ast.walk(function) if isinstance(each, ast.Call)]
        found = [ast.unparse(each) for each in calls if _writes(each)]
        if found and "TemporaryDirectory" not in ast.unparse(function):
            yield from ((function.name, text) for text in found)


NAMES = WRITERS.union({"open", "savefig"}, *MODULES.values())


def _writes(call):
    if getattr(call.func, "attr", getattr(call.func, "id", None)) not in NAMES:
        return False
    owner, _, attribute = ast.unparse(call.func).rpartition(".")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    texts = {each.value for each in given if isinstance(each, ast.Constant)}
    if attribute == "open" and owner not in ("os",):
        modes = {each for each in texts if isinstance(each, str) and len(each) <= 3}
        return any(set(each) & set("wax+") for each in modes)
    if attribute in ("savefig", "save", "savez") and given and ast.unparse(given[0]) in MEMORY:
        return False
    if owner == "torch" and len(given) > 1 and ast.unparse(given[1]) in MEMORY:
        return False
    return attribute in WRITERS | {"savefig"} or attribute in MODULES.get(owner, ())


def test_everything_is_written_through_one_function():
    found = {}
    for folder in ("hw", "model", "boards", "scripts", "docs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name not in ("hw/files.py", "scripts/terminal/streams.py"):
                for function, text in writers(ast.parse(path.read_text())):
                    found.setdefault(f"{name}:{function}", []).append(text)
    assert found.keys() == ALLOWED, found


@pytest.mark.parametrize(
    "call",
    [
        "open(path, 'w')",
        "path.open(mode='ab')",
        "gzip.open(path, 'xb')",
        "path.write_text('x')",
        "os.replace(one, path)",
        "os.open(path, os.O_WRONLY)",
        "np.save(path, array)",
        "torch.save(state, path)",
        "onnx.save(model, path)",
        "shutil.move(one, path)",
        "figure.savefig(path)",
        "array.tofile(path)",
    ],
)
def test_a_writer_is_found(call):
    assert list(writers(ast.parse(f"def function():\n    {call}")))
    harmless = ["open(path)", "path.open('rb')", "text.replace('w', 'a')", "torch.save(x, buffer)"]
    for each in harmless:
        assert not list(writers(ast.parse(f"def function():\n    {each}"))), each
