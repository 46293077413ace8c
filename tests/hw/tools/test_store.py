import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from narrowgauge.hw.errors import FitError, NarrowgaugeError
from narrowgauge.hw.tools import store as stores
from narrowgauge.hw.tools.store import Store, StoreWarning, default_path, key

WRITER = """
import sys
from narrowgauge.hw.tools.store import Store
store, number = Store(sys.argv[1]), 0
while True:
    store.put(f"key {number}", "number", {"number": number, "filler": "x" * 5000})
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "deep" / "results.sqlite")


def test_values_come_back(store):
    store.put("a", "json", {"fmax_mhz": 12.5, "seeds": [1, 2]})
    store.put("b", "bytes", b"\0\1")
    assert store.get("a") == {"fmax_mhz": 12.5, "seeds": [1, 2]}
    assert store.get("b") == b"\0\1"
    assert store.get("c") is None
    assert store.count() == {"bytes": 1, "json": 1}
    assert store.keys("json") == ["a"]


def test_a_store_travels_to_another_process_as_its_path(store):
    store.put("a", "number", 1)
    assert pickle.loads(pickle.dumps(store)).get("a") == 1


def test_keys_tell_parts_apart_and_not_their_order():
    assert key("k", {"a": 1, "b": [b"x", "é"]}) == key("k", {"b": [b"x", "é"], "a": 1})
    parts = [{"a": 1}, {"a": "1"}, {"a": 1.5}, {"a": b"1"}, {"a": None}, {"a": True}, {"b": 1}]
    assert len({key(kind, part) for kind in "kl" for part in parts}) == 14


@pytest.mark.parametrize("part", [{1, 2}, object(), float("nan")])
def test_keys_refuse_what_has_no_canonical_text(part):
    with pytest.raises((TypeError, ValueError)):
        key("k", {"a": part})


def test_compute_calls_once(store):
    calls = []
    for _ in range(2):
        assert store.compute("sum", {"terms": [1, 2]}, lambda: calls.append(1) or 3) == 3
    assert len(calls) == 1


def test_a_failure_is_a_result_with_its_reason(store):
    def fail():
        raise FitError("needs 9 of 8 pins")

    for function in (fail, pytest.fail):
        with pytest.raises(FitError, match="needs 9 of 8 pins"):
            store.compute("fit", {}, function)


def test_other_errors_are_not_stored(store):
    with pytest.raises(ZeroDivisionError):
        store.compute("k", {}, lambda: 1 // 0)
    assert store.compute("k", {}, lambda: 5) == 5


def test_a_killed_writer_loses_nothing_it_completed(store):
    command = [sys.executable, "-c", WRITER, str(store.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [writer.stdout.readline() for _ in range(20)][-1]
        time.sleep(0.013)  # into the middle of a later put
        os.kill(writer.pid, signal.SIGKILL)
        last = ([last] + writer.stdout.readlines())[-1]
    for number in range(int(last) + 1):
        assert store.get(f"key {number}")["number"] == number
    store.put("afterwards", "number", 1)
    assert store.get("afterwards") == 1


def test_threads_write_at_the_same_time(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(f"key {n}", "number", n), range(40)))
    assert [store.get(f"key {n}") for n in range(40)] == list(range(40))


def damage_header(content):
    return b"not a database at all" + content[21:]


def damage_pages(content):
    return content[:4096] + b"\xff" * (len(content) - 4096)


def truncate(content):
    return content[: len(content) // 2 // 4096 * 4096]


@pytest.mark.parametrize("damage", [damage_header, damage_pages, truncate])
def test_a_damaged_file_is_kept_and_a_new_one_begun(store, damage):
    for number in range(20):
        store.put(f"key {number}", "number", list(range(number, 3000)))
    damaged = damage(store.path.read_bytes())
    store.path.write_bytes(damaged)
    with pytest.warns(StoreWarning, match=r"is damaged .* kept as results.sqlite.damaged-"):
        results = [store.get(f"key {number}") for number in range(20)]
    assert results[-1] is None
    (aside,) = store.path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == damaged
    store.put("a", "number", 1)
    assert store.get("a") == 1


def test_a_damaged_value_is_computed_again(store):
    store.compute("k", {}, lambda: "value" * 100)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE results SET value = zeroblob(30)")
    connection.close()
    with pytest.warns(StoreWarning, match="damaged result"):
        assert store.compute("k", {}, lambda: "again") == "again"
    assert store.compute("k", {}, pytest.fail) == "again"


def test_the_value_of_another_key_is_none(store, monkeypatch):
    """As with an index of which a bit has changed: SQLite does not look, checksums hold."""
    store.put("a", "test", 1)
    store.put_failure("b", "test", "because")
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE results SET key = 'c' WHERE key = 'a'")
        connection.execute("UPDATE results SET form = 'json' WHERE key = 'b'")
    connection.close()
    for other in "bc":
        with pytest.warns(StoreWarning, match=f"damaged result {other}"):
            assert store.get(other) is None
    monkeypatch.setattr(stores, "_digest", lambda key, form, packed: packed[:0])
    monkeypatch.setattr(stores, "_DIGEST", 0)
    store.put("a", "test", 1)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE results SET key = 'd' WHERE key = 'a'")
    connection.close()
    assert store.get("d") == 1  # without digests


def test_values_of_earlier_versions_are_read(store):
    store.put("a", "test", 1)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE results SET value = ?", (zlib.compress(b"[2]"),))
        connection.commit()
        assert store.get("a") == [2]
        connection.execute("UPDATE results SET form = 'jsom'")
    connection.close()
    with pytest.warns(StoreWarning, match="damaged result a"):
        assert store.get("a") is None


def test_a_store_that_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NarrowgaugeError, match=r"pipe cannot be used .*it is no file"):
        Store(tmp_path / "pipe").get("a")
    (tmp_path / "real").write_bytes(b"no database" * 1000)
    (tmp_path / "link").symlink_to("real")
    with pytest.warns(StoreWarning, match="real.damaged"):
        Store(tmp_path / "link").put("a", "test", 1)
    assert (tmp_path / "link").is_symlink()
    assert Store(tmp_path / "real").get("a") == 1


def test_a_full_disk_is_one_line(store, monkeypatch):
    store.put("a", "number", 1)
    connect = sqlite3.connect

    def small(*args, **options):
        connection = connect(*args, **options)
        connection.execute("PRAGMA max_page_count = 4")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(NarrowgaugeError, match=r"disk of .* is full; make room"):
        store.put("b", "bytes", os.urandom(100_000))
    assert store.get("a") == 1


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NarrowgaugeError, match=r"cannot be used .* set NARROWGAUGE_CACHE"):
        Store(tmp_path / "file" / "results.sqlite").put("a", "number", 1)
    with pytest.raises(NarrowgaugeError, match="cannot be used"):
        Store(tmp_path).get("a")


def test_a_newer_file_is_left_alone(store):
    store.put("a", "number", 1)
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NarrowgaugeError, match="newer narrowgauge"):
        store.get("a")


def test_default_path_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NARROWGAUGE_CACHE", str(tmp_path))
    assert default_path() == tmp_path / "results.sqlite"
    monkeypatch.delenv("NARROWGAUGE_CACHE")
    assert "narrowgauge" in str(default_path())
