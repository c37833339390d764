"""What the version before wrote can be read, and decides as it did.

`tests/written_before.tar.xz` holds policies, a journal, a trace log and a data set as version 0.1.0
of 2026-11 wrote them, with the decisions that each policy took on `make_data(20, 3, 2)`.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cascade_engine import (
    CascadeDataset,
    CascadeRouter,
    Collection,
    ConfigurationError,
    read_traces,
)
from cascade_engine.errors import PersistenceError

ARCHIVE = Path(__file__).parents[1] / "written_before.tar.xz"
POLICIES = ["cascading", "default", "parts", "prices", "query_parts", "routing"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    target = tmp_path_factory.mktemp("before")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(target, filter="data")
    return target


@pytest.fixture(scope="module")
def decisions(folder):
    return json.loads((folder / "decisions.json").read_text())


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_decides_as_it_did(name, folder, decisions, make_data):
    data, before = make_data(20, 3, 2), decisions[name]
    router = CascadeRouter.load(folder / "policies" / name)
    outcome = router.replay(data)
    assert outcome.run.astype(int).tolist() == before["run"]
    assert outcome.cost.tolist() == before["cost"]
    estimated = router.quality.estimate(router.quality.read(data), np.zeros((20, 3), bool))[0]
    assert estimated == pytest.approx(np.array(before["quality_before"]), rel=1e-12)


def test_a_policy_with_its_fitting_data_takes_another_strategy(folder, make_data):
    router = CascadeRouter.load(folder / "policies" / "cascading")
    assert router.with_strategy("routing").replay(make_data(20, 3, 2)).run.any()


def test_a_router_that_was_not_fitted_loads(folder):
    router = CascadeRouter.load(folder / "policies" / "unfitted")
    assert not router.is_fitted
    assert router.budget == 1.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("correlated", r"correlated=True, which is no more: fit the router again, with Combined"),
        ("difference", "is a DifferenceEstimator, which is no more: fit the router again, with"),
    ],
)
def test_a_policy_of_what_is_no_more_says_what_to_do(name, message, folder):
    with pytest.raises(PersistenceError, match=message):
        CascadeRouter.load(folder / "policies" / name)


def test_a_journal_is_read(folder):
    collection = Collection.from_journal(folder / "journal.jsonl")
    assert collection.models == ("a", "b")
    assert len(collection.queries) == 3
    assert len(collection.missing()) == 1


def test_a_trace_log_is_read(folder):
    first, second = read_traces(folder / "traces.jsonl")
    assert set(first.trace.answers) == {"small", "large"}
    assert first.trace.answers["small"].usage.cached_tokens == 3
    assert set(second.trace.answers) == {"large"}
    assert "DraftAbandonedError" in repr(second.trace.failures[0].error)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_data_set_is_read(suffix, folder, make_data):
    data, again = make_data(6, 3, 3), CascadeDataset.load(folder / f"data.{suffix}")
    assert again.models == data.models
    assert [query.text for query in again.queries] == [query.text for query in data.queries]
    assert np.array_equal(again.quality, data.quality)
    assert np.array_equal(again.cost, data.cost)


def test_what_a_langchain_cascade_saved_is_loaded(folder, fakes):
    from langchain_cascade import CascadeRoutingLLM

    models = fakes.learning().models
    llm = CascadeRoutingLLM.load(folder / "policies" / "langchain", models=models)
    assert llm.router.is_fitted
    assert llm.invoke("easy question number 1?").text == "yes"


def test_what_a_llamaindex_cascade_wrote_is_built_again(folder):
    from llamaindex_cascade import CascadeRoutingLLM

    llm = CascadeRoutingLLM.from_dict(json.loads((folder / "llamaindex.json").read_text()))
    assert list(llm.llms) == ["weak", "strong"]
    assert llm.max_cost == 1.0
    with pytest.raises(ConfigurationError, match="no argument 'abandon_below'"):
        CascadeRoutingLLM(llm.llms, abandon_below=0.25)  # written down it is left out
