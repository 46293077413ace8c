"""Sweeps of which something fails: designs, tools, the store, the plan."""

import pytest

from .sweeping import ON_XC7, lines, rows_in, write_plan


def test_a_failure_is_a_row_and_is_not_retried_silently(sweep, plan, fake, tmp_path):
    fake.say(broken="29")
    for jobs in (6, 6):  # in the first run, and after the second
        finished = sweep(plan)
        assert finished.status == 1
        assert len(fake.log("begin")) == jobs
        rows = rows_in(tmp_path / "out")
        failed = [row for row in rows if "failure" in row]
        assert [row["accumulator_bits"] for row in failed] == [29, 29]
        for row in failed:
            assert row["failure"].startswith("yosys failed: ERROR: it broke")
            assert row["kept"].startswith("script, design and log are in ")
            assert "lut" not in row
            assert not row["routed"]
        assert [row["lut"] for row in rows if "failure" not in row] == [981, 977] * 2
        told = lines(finished)
        assert "bipolar x bipolar, 29 bits, 1 lane on xc7 and 1 more: yosys failed" in told[0]
        assert "script, design and log are in " in told[0]
        assert "--retry-failed" in told[1]
        assert len(told) == 2
    fake.say(broken="")
    assert sweep(plan).status == 1
    assert len(fake.log("begin")) == 6
    assert sweep(plan, "--retry-failed").status == 0
    assert len(fake.log("begin")) == 8
    assert all("lut" in row for row in rows_in(tmp_path / "out"))
    assert sweep(plan).status == 0
    assert len(fake.log("begin")) == 8


def test_a_design_that_does_not_fit_is_a_row_with_numbers(sweep, plan, fake, tmp_path):
    fake.say(large="23")
    finished = sweep(plan)
    assert finished.status == 1
    failures = [row.get("failure") for row in rows_in(tmp_path / "out")]
    assert [bool(each) for each in failures] == [False, True, False] * 2
    assert "does not fit xc7" in failures[1]
    assert "1000000" in failures[1]
    assert len(lines(finished)) == 2


def test_a_missing_tool_costs_its_rows_only(sweep, plan, fake, tmp_path, monkeypatch):
    monkeypatch.setenv("NEXTPNR_ECP5", "/nowhere/nextpnr")
    write_plan(plan, ON_XC7.replace('"xc7"', '["ecp5-25k", "xc7"]'))
    finished = sweep(plan)
    assert finished.status == 1
    rows = rows_in(tmp_path / "out")
    for row in rows:
        if row["target"] == "xc7":
            assert row["lut"] == 1000 - row["accumulator_bits"]
        else:
            assert "NEXTPNR_ECP5 is '/nowhere/nextpnr', which is no program" in row["failure"]
    assert len(rows) == 12
    assert len(fake.log("begin")) == 6
    assert len(lines(finished)) == 2
    monkeypatch.delenv("NEXTPNR_ECP5")  # what was never tried was not kept as a failure
    write_plan(plan, ON_XC7.replace("xc7", "ecp5-25k").replace("19, 23, 29", "19"))
    assert "/nowhere" not in sweep(plan).err


def test_a_sweep_without_any_tool_replaces_no_results(sweep, plan, fake, tmp_path, monkeypatch):
    yosys = fake.environment["YOSYS"]
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    assert sweep(plan).status == 1
    assert all("/nowhere" in row["failure"] for row in rows_in(tmp_path / "out"))  # none before
    monkeypatch.setenv("YOSYS", yosys)
    assert sweep(plan).status == 0
    files = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(files) == 2
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    finished = sweep(plan)
    assert finished.status == 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    assert "written to" not in finished.out
    told = lines(finished)[-1]
    assert f"{tmp_path / 'out' / 'plan.json'} stays as it was" in told


def test_an_accident_is_a_row_and_is_tried_again(sweep, plan, fake, tmp_path):
    """A tool that the system kills for want of memory says nothing of the design."""
    fake.say(killed="29")
    assert sweep(plan).status == 1
    rows = rows_in(tmp_path / "out")
    assert ["failure" in row for row in rows] == [False, False, True] * 2
    assert rows[2]["failure"] == "yosys was ended by SIGKILL, as when memory runs out"
    fake.say(killed="")
    assert sweep(plan).status == 0
    assert len(fake.log("begin")) == 6 + 2
    assert not any("failure" in row for row in rows_in(tmp_path / "out"))
    fake.say(killed="31")
    write_plan(plan, ON_XC7.replace("19, 23, 29", "31"))
    before = rows_in(tmp_path / "out")
    assert sweep(plan).status == 1
    assert rows_in(tmp_path / "out") == before  # accidents only


def test_a_damaged_store_is_put_aside(command, cache, plan, fake):
    cache.mkdir()
    (cache / "results.sqlite").write_bytes(b"no database" * 1000)
    done = command("sweep", plan, "--output", plan.parent / "out")
    assert done.status == 0, done.err
    (warning,) = [line for line in done.err.splitlines() if "warning" in line]
    assert "results.sqlite is damaged" in warning
    assert len(rows_in(plan.parent / "out")) == 6


def test_a_broken_design_does_not_end_the_others(sweep, plan, fake, tmp_path, monkeypatch):
    from narrowgauge.scripts.sweeps.macs import Mac

    build = Mac.build

    def broken(self, store):
        if self.accumulator == 23:
            raise AssertionError("a mistake")
        return build(self, store)

    monkeypatch.setattr(Mac, "build", broken)
    assert sweep(plan).status == 1
    failures = [row.get("failure") for row in rows_in(tmp_path / "out")]
    assert failures == [None, "AssertionError: a mistake", None] * 2
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("measure = 'mac'", ["plan.toml: target is missing"]),
        (ON_XC7.replace("xc7", "xc8"), ["plan.toml: target: unknown target 'xc8'", "up5k"]),
        (ON_XC7.replace("int4", "int99"), ["plan.toml: formats: ", "1 to 32, not 99"]),
    ],
)
def test_a_wrong_plan_is_one_line(sweep, fake, tmp_path, text, words):
    finished = sweep(write_plan(tmp_path / "plan.toml", text))
    finished.fails_with(1, *words)
    assert not fake.log("begin")
    assert not (tmp_path / "out").exists()
