"""What an import does not drag in."""

from __future__ import annotations

import subprocess
import sys

import pytest

import langchain_cascade

HEAVY = {"sklearn", "scipy", "matplotlib", "pandas", "pyarrow", "xllamacpp", "genai_prices"}
LATER = {"tqdm", "filelock", "huggingface_hub"}
LANGCHAIN = {"langchain", "langchain_core", "langchain_openai"}
LLAMAINDEX = {"llama_index"}


def imported_by(statement):
    """Top-level names of the modules loaded by an import alone."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; before = set(sys.modules); "
        f"{statement}; print(*{{m.split('.')[0] for m in set(sys.modules) - before}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "unwanted", "wanted"),
    [
        ("import cascade_engine", HEAVY | LATER | LANGCHAIN | LLAMAINDEX | {"pydantic"}, "numpy"),
        ("import cascade_engine.local", HEAVY | LATER | LANGCHAIN | LLAMAINDEX, "cascade_engine"),
        (
            "import langchain_cascade",
            HEAVY | LANGCHAIN | LLAMAINDEX | {"cascade_engine", "numpy", "pydantic"},
            "langchain_cascade",
        ),
        (
            "from langchain_cascade import CascadeRoutingLLM",
            HEAVY | LLAMAINDEX | {"langchain_openai"},
            "langchain_core",
        ),
    ],
)
def test_an_import_stays_light(statement, unwanted, wanted):
    loaded = imported_by(statement)
    assert wanted in loaded
    assert loaded.isdisjoint(unwanted)


def test_the_llamaindex_adapter_does_not_import_langchain():
    pytest.importorskip("llama_index.core")
    loaded = imported_by("import llamaindex_cascade")
    assert "llama_index" in loaded
    assert loaded.isdisjoint(LANGCHAIN | {"langchain_cascade", "xllamacpp", "matplotlib"})


def test_every_name_of_the_langchain_adapter_is_there_once_it_is_used():
    names = langchain_cascade.__all__
    assert names == sorted(names)
    assert set(names) <= set(dir(langchain_cascade))
    assert all(getattr(langchain_cascade, name) is not None for name in names)
    with pytest.raises(AttributeError, match="CascadeLLM"):
        langchain_cascade.CascadeLLM  # noqa: B018


@pytest.mark.parametrize(
    ("package", "framework", "extra"),
    [
        ("langchain_cascade", "langchain_core", "langchain"),
        ("llamaindex_cascade", "llama_index", "llamaindex"),
    ],
)
def test_an_adapter_without_its_framework_names_the_extra(package, framework, extra):
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; sys.modules[{framework!r}] = None; "
        f"from {package} import CascadeRoutingLLM"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert last.endswith(f'pip install "cascade-routing[{extra}]"')
