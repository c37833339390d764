"""A notebook on real models is left out where their weights cannot be had."""

from __future__ import annotations

import pytest

NEEDED = {
    "agents_langchain.ipynb": ("Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct"),
}


def pytest_collection_modifyitems(items):
    """A notebook is a long run."""
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker("slow")


def pytest_runtest_setup(item):
    """Fetches the weights, or skips the notebook."""
    from cascade_engine.local import WeightsUnavailableError, fetch

    try:
        for name in NEEDED.get(item.path.name, ()):
            fetch(name)
    except WeightsUnavailableError as error:
        pytest.skip(str(error))
