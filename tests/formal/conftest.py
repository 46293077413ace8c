import pytest


def pytest_collection_modifyitems(config, items):
    """Leave formal proofs out, but where ``-m`` asks for them."""
    if "formal" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("formal")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _tools_from_this_environment(monkeypatch):
    """SymbiYosys passes these on; a caller's would be another tool."""
    for variable in ("ABC", "SMTBMC", "WITNESS"):
        monkeypatch.delenv(variable, raising=False)
