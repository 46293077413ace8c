import pytest

from narrowgauge.scripts.runs import sources


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name in ("hw/mac/dot.py", "hw/accelerator/drain.py", "hw/sim/harness.cc", "model/a.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.setattr(sources, "PACKAGE", tmp_path)
    sources.source_digest.cache_clear()
    yield tmp_path
    sources.source_digest.cache_clear()


def digest(*names):
    sources.source_digest.cache_clear()
    return sources.source_digest(*names)


@pytest.mark.parametrize("name", ["hw/mac/dot.py", "hw/sim/harness.cc"])
def test_a_file_below_a_folder_counts(package, name):
    before = digest("hw"), digest("model"), digest("hw/accelerator")
    (package / name).write_text("other gates")
    after = digest("hw"), digest("model"), digest("hw/accelerator")
    assert [a != b for a, b in zip(after, before, strict=True)] == [True, False, False]


def test_a_new_and_a_renamed_file_count(package):
    seen = [digest("hw")]
    (package / "hw/mac/choice.py").write_text("")
    seen.append(digest("hw"))
    (package / "hw/mac/choice.py").rename(package / "hw/mac/chosen.py")
    seen.append(digest("hw"))
    assert len(set(seen)) == 3


def test_a_single_file_counts(package):
    before = digest("hw/mac/dot.py")
    (package / "hw/accelerator/drain.py").write_text("other gates")
    assert digest("hw/mac/dot.py") == before
    (package / "hw/mac/dot.py").write_text("other gates")
    assert digest("hw/mac/dot.py") != before


@pytest.mark.parametrize("name", ["hw/nothing", "hw/mac/nothing.py"])
def test_a_folder_that_is_not_there_is_refused(package, name):
    with pytest.raises(FileNotFoundError, match="has no sources"):
        digest("model", name)
