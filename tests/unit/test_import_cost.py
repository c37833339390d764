"""What an import does not drag in."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"sklearn", "scipy", "matplotlib", "pandas", "pyarrow", "xllamacpp", "genai_prices"}
LANGCHAIN = {"langchain", "langchain_core", "langchain_openai"}
LLAMAINDEX = {"llama_index"}


def imported_by(package):
    """Top-level names of the modules loaded by importing a package alone."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; before = set(sys.modules); "
        f"import {package}; print(*{{m.split('.')[0] for m in set(sys.modules) - before}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("package", "unwanted", "wanted"),
    [
        ("cascade_engine", HEAVY | LANGCHAIN | LLAMAINDEX | {"pydantic"}, "numpy"),
        ("cascade_engine.local", HEAVY | LANGCHAIN | LLAMAINDEX, "cascade_engine"),
        ("langchain_cascade", HEAVY | LLAMAINDEX | {"langchain_openai"}, "langchain_core"),
    ],
)
def test_an_import_stays_light(package, unwanted, wanted):
    loaded = imported_by(package)
    assert wanted in loaded
    assert loaded.isdisjoint(unwanted)


def test_the_llamaindex_adapter_does_not_import_langchain():
    pytest.importorskip("llama_index.core")
    loaded = imported_by("llamaindex_cascade")
    assert "llama_index" in loaded
    assert loaded.isdisjoint(LANGCHAIN | {"langchain_cascade", "xllamacpp", "matplotlib"})
