"""Retrieval quality as a signal: query engines and chat engines on a cascade of real clients."""

from __future__ import annotations

import asyncio
import inspect
import re

import numpy as np
import pytest

pytest.importorskip("llama_index.llms.openai_like")

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.tools import QueryEngineTool

from cascade_engine.estimators import (
    CallableEstimator,
    CombinedEstimator,
    LogprobSignal,
    QuerySignalEstimator,
)
from llamaindex_cascade import CascadeRoutingLLM, RetrievalSignals
from llamaindex_cascade.retrieval import retrieval_signals
from tests.llamaindex_fixtures import PRICES, Llamas, facts, memory, no_loop
from tests.scripted import Reply

QUESTION = "Which is the capital of Peru?"
OTHER = "How do volcanoes erupt?"
NODES = [NodeWithScore(node=TextNode(text="x" * n), score=s) for n, s in ((10, 0.5), (20, 0.8))]


@pytest.fixture(autouse=True)
def _alone(request):
    if not inspect.iscoroutinefunction(request.function):
        no_loop()


def watched(llamas):
    """A cascade, and the signals of each call."""
    seen = []

    def look(query):
        seen.append(dict(query.signals))

    return llamas.make(signals=look), seen


@pytest.fixture
def llamas(scripted_server):
    return Llamas(scripted_server)


def test_what_is_measured():
    assert retrieval_signals(NODES) == {
        "retrieved": 2.0,
        "retrieved_length": 30.0,
        "retrieval_best": 0.8,
        "retrieval_mean": pytest.approx(0.65),
        "retrieval_margin": pytest.approx(0.3),
    }
    unscored = [NodeWithScore(node=TextNode(text="abc"))]
    assert retrieval_signals(unscored) == {"retrieved": 1.0, "retrieved_length": 3.0}
    assert retrieval_signals([]) == {"retrieved": 0.0, "retrieved_length": 0.0}
    assert retrieval_signals(NODES[:1])["retrieval_margin"] == 0.5


async def test_a_query_engine_tells_how_well_it_retrieved(llamas):
    llm, seen = watched(llamas)
    for streaming in (False, True):
        engine = facts().as_query_engine(
            llm=llm, node_postprocessors=[RetrievalSignals()], streaming=streaming
        )
        response = engine.query(QUESTION)
        if streaming:
            "".join(response.response_gen)
        best = max(node.score for node in response.source_nodes)
        assert seen[-1]["retrieval_best"] == pytest.approx(best)
        response = await engine.aquery(OTHER)
        if streaming:
            "".join([token async for token in response.async_response_gen()])
        best = max(node.score for node in response.source_nodes)
        assert seen[-1]["retrieval_best"] == pytest.approx(best)
        assert seen[-2]["retrieval_best"] > seen[-1]["retrieval_best"]


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
def test_a_chat_engine_does_too(llamas, mode):
    llm, seen = watched(llamas)
    engine = facts().as_chat_engine(
        chat_mode=mode, llm=llm, memory=memory(), node_postprocessors=[RetrievalSignals()]
    )
    engine.chat(QUESTION)
    assert seen[-1]["retrieval_best"] > 0.3
    "".join(engine.stream_chat(QUESTION).response_gen)
    assert "retrieval_best" in seen[-1]


def test_a_call_that_is_not_about_it_has_none(llamas):
    llm, seen = watched(llamas)
    facts().as_query_engine(llm=llm, node_postprocessors=[RetrievalSignals()]).query(QUESTION)
    llm.chat([ChatMessage(content=QUESTION)])
    llm.complete("Lima, then?")
    assert ["retrieval_best" in each for each in seen] == [True, False, False]


async def test_tasks_are_not_mixed_up(llamas):
    llm, seen = watched(llamas)
    engine = facts().as_query_engine(llm=llm, node_postprocessors=[RetrievalSignals()])
    await asyncio.gather(*(engine.aquery(asked) for asked in (QUESTION, OTHER) * 3))
    assert sorted({round(each["retrieval_best"], 3) for each in seen}) == sorted(
        {
            round(node.score, 3)
            for q in (QUESTION, OTHER)
            for node in facts().as_retriever(similarity_top_k=1).retrieve(q)
        }
    )


async def test_a_query_engine_as_a_tool_measures_its_own(llamas):
    llm, seen = watched(llamas)
    engine = facts().as_query_engine(llm=llm, node_postprocessors=[RetrievalSignals()])
    await QueryEngineTool.from_defaults(engine, name="facts").acall(QUESTION)
    assert seen[-1]["retrieval_best"] > 0.3


def test_a_measure_of_your_own(llamas):
    def measure(nodes, query):
        return {"same_words": float(len(set(query.query_str.split()) & set(nodes[0].text.split())))}

    llm, seen = watched(llamas)
    engine = facts().as_query_engine(
        llm=llm, node_postprocessors=[RetrievalSignals(measure=measure)]
    )
    engine.query("Which is the capital of Peru ?")
    assert seen[-1] == {"same_words": 4.0}


def test_a_function_decides_by_the_signals(llamas):
    """Before any fit: a rule of one's own, on what retrieval says."""

    def rule(query):
        return "weak" if query.signals.get("retrieval_best", 0.0) > 0.4 else "strong"

    estimator = CombinedEstimator(CallableEstimator(rule), LogprobSignal())
    questions = [f"{'Lima Peru capital' if i % 2 else 'volcanoes'} {i}?" for i in range(24)]
    llm = CascadeRoutingLLM(
        [llamas.server.llm("weak", knows), llamas.server.llm("strong", knows_all)],
        prices=PRICES,
        quality_estimator=estimator,
        strategy="routing",
    )
    with llm.using(signals=lambda query: {"retrieval_best": 0.7 * ("Lima" in query.text)}):
        llm.fit(questions, ["yes"] * 24, progress=False)
        made = [
            llm.complete(f"{text} 99?").additional_kwargs["cascade"]["models_run"]
            for text in ("Lima Peru capital", "volcanoes")
        ]
    assert made == [["weak"], ["strong"]]


def knows(request):
    said = request["messages"][-1]["content"]
    return Reply("yes" if "Lima" in said else "no")


def knows_all(request):
    return Reply("yes")


def test_a_cascade_learns_what_retrieval_tells():
    """Scores alone tell which questions the small model can answer from its context."""
    rng = np.random.default_rng(0)
    scores = {f"question number {i}?": float(rng.uniform()) for i in range(80)}
    with _server() as server:

        def weak(request):
            asked = re.search(r"question number \d+\?", str(request["messages"])).group()
            return Reply("yes" if scores[asked] > 0.5 else "no", probability=0.7)

        llm = CascadeRoutingLLM(
            [server.llm("weak", weak), server.llm("strong", Reply("yes", probability=0.7))],
            prices=PRICES,
            quality_estimator=CombinedEstimator(
                QuerySignalEstimator({"weak": "retrieval_best", "strong": "retrieval_best"})
            ),
            strategy="routing",
        )
        with llm.using(signals=lambda query: {"retrieval_best": scores[query.text]}):
            llm.fit(list(scores), ["yes"] * 80, progress=False)
        chosen = {}
        for score in (0.1, 0.9):
            with llm.using(signals={"retrieval_best": score}):
                made = llm.complete("question number 7?").additional_kwargs["cascade"]
            chosen[score] = made["models_run"]
    assert chosen == {0.1: ["strong"], 0.9: ["weak"]}


def _server():
    from tests.scripted import ScriptedServer

    return ScriptedServer()
