"""Both adapters' `collect` and what `fit` takes besides questions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from cascade_engine import ConfigurationError, DataError
from cascade_engine.data.collection import Collection
from cascade_engine.data.judge_labels import Judgement


@pytest.fixture(params=["sync", "async"])
def do(request):
    """Calls `collect` or `fit` of a cascade, or `acollect` or `afit`."""

    async def call(llm, method, *args, **options):
        options = {"progress": False, **options} if method == "collect" else options
        if request.param == "sync":
            return getattr(llm, method)(*args, **options)
        return await getattr(llm, f"a{method}")(*args, **options)

    return call


class Llama:
    """LlamaIndex's cascade, with children like those of `fakes.learning`."""

    def __init__(self, fakes):
        self.fakes = fakes

    def learning(self, **fields):
        pytest.importorskip("llama_index.core")
        from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
        from llama_index.core.llms import CustomLLM
        from llama_index.core.llms.callbacks import llm_completion_callback

        from llamaindex_cascade import CascadeRoutingLLM

        class Child(CustomLLM):
            name: str
            log: list = []  # noqa: RUF012

            @property
            def metadata(self):
                return LLMMetadata(model_name=self.name)

            @llm_completion_callback()
            def complete(self, prompt, formatted=None, **kwargs):
                self.log.append(prompt)
                hard = self.name == "weak" and "hard" in prompt
                usage = {"prompt_tokens": 10, "completion_tokens": 2}
                return CompletionResponse(text="no" if hard else "yes", raw={"usage": usage})

            @llm_completion_callback()
            def stream_complete(self, prompt, formatted=None, **kwargs):
                raise NotImplementedError

        llms = {name: Child(name=name, log=[]) for name in ("weak", "strong")}
        return CascadeRoutingLLM(llms, prices=self.fakes.PRICES, **fields)


@pytest.fixture(params=["langchain", "llamaindex"])
def cascades(request, fakes):
    """Makes a cascade that learns; and counts what its children were asked."""
    make = fakes if request.param == "langchain" else Llama(fakes)

    def asked(llm):
        children = llm.models if request.param == "langchain" else llm.llms
        logs = ([e for e in child.log if "question" in e] for child in children.values())
        return [len(log) for log in logs]

    return make, asked


async def test_a_collection_is_made_once_and_used_twice(cascades, fakes, do):
    make, asked = cascades
    llm = make.learning()
    found = await do(llm, "collect", fakes.questions)
    assert isinstance(found, Collection)
    assert found.missing() == []
    assert found.cost > 0
    fitted = await do(llm, "fit", found, fakes.references)
    assert fitted.router.is_fitted
    assert asked(llm) == [30, 30]
    data = found.dataset(agreement=True)
    assert data.quality[:3].tolist() == [[0, 1], [1, 1], [1, 1]]
    assert (await do(llm, "fit", data)).router.is_fitted
    assert asked(llm) == [30, 30]


async def test_it_goes_on_from_its_journal(cascades, fakes, do, tmp_path):
    make, asked = cascades
    path = tmp_path / "journal.jsonl"
    await do(make.learning(), "collect", fakes.questions[:10], path=path)
    llm = make.learning()
    await do(llm, "fit", fakes.questions, fakes.references, path=path, progress=False)
    assert asked(llm) == [20, 20]
    again = make.learning()
    await do(again, "fit", fakes.questions, fakes.references, path=path, progress=False)
    assert asked(again) == [0, 0]
    assert again.router.policy_ == llm.router.policy_


async def test_a_cost_limit_holds(cascades, fakes, do):
    make, asked = cascades
    found = await do(make.learning(), "collect", fakes.questions, max_cost=1e-3)
    assert 0 < found.cost <= 1e-3
    assert "higher max_cost" in found.stopped
    llm = make.learning()
    with pytest.raises(ConfigurationError, match="would be lost at max_cost: pass path="):
        await do(llm, "fit", fakes.questions, fakes.references, max_cost=1e-3)
    assert asked(llm) == [0, 0]
    options = {"max_cost": 2e-3, "on_missing": "drop", "progress": False}
    assert (await do(llm, "fit", fakes.questions, fakes.references, **options)).router.is_fitted
    assert 12 < asked(llm)[0] < 30


async def test_judges_and_agreement_label(cascades, fakes, do):
    make, _ = cascades

    def judge(question, answer):
        return Judgement(float(answer == "yes"), cost=1.0)

    by_judge = await do(make.learning(), "fit", fakes.questions, judge=judge)
    by_agreement = await do(make.learning(), "fit", fakes.questions, agreement=True)
    by_reference = await do(make.learning(), "fit", fakes.questions, fakes.references)
    for llm in (by_judge, by_agreement):
        assert llm.router.frontier_.cost == pytest.approx(by_reference.router.frontier_.cost)


async def test_questions_and_references_of_any_kind_that_can_be_gone_through(cascades, fakes, do):
    make, asked = cascades
    fits = [
        await do(make.learning(), "fit", kind(fakes.questions), kind(fakes.references))
        for kind in (list, tuple, iter, np.array)
    ]
    assert all(llm.router.policy_ == fits[0].router.policy_ for llm in fits)
    assert asked(fits[-1]) == asked(fits[0])
    found = await do(make.learning(), "collect", iter(fakes.questions))
    assert len(found.queries) == len(fakes.questions)


async def test_what_is_there_already_cannot_be_changed(cascades, fakes, do):
    make, asked = cascades
    llm = make.learning()
    found = await do(llm, "collect", fakes.questions)
    data = found.dataset(references=fakes.references)
    for args, options, message in (
        ((data, fakes.references), {}, r"\['references'\] cannot change a data set"),
        ((data,), {"grade": len}, r"\['grade'\] cannot change a data set"),
        ((found, fakes.references), {"path": "x"}, r"\['path'\] cannot change a collection"),
        ((found,), {}, "nothing says which answers are good"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await do(llm, "fit", *args, **options)
    with pytest.raises(DataError, match="30 questions and 1 references"):
        await do(llm, "fit", found, ["yes"])
    for given, references in (("Hi", ["yes"]), (30, ["yes"]), (fakes.questions, "yes")):
        with pytest.raises(DataError, match="must be a list, not"):
            await do(llm, "fit", given, references)
    with pytest.raises(DataError, match="questions must be a list, not 'Hi'"):
        await do(llm, "collect", "Hi")
    for source in ("grade", "judge"):
        rule = f"{source} must be a function of question"
        with pytest.raises(ConfigurationError, match=f"{rule}.*, not 'good'"):
            await do(llm, "fit", fakes.questions, **{source: "good"})
        with pytest.raises(ConfigurationError, match=rf"{rule}.* takes \(answer\)"):
            await do(llm, "fit", fakes.questions, **{source: lambda answer: 1.0})
    with pytest.raises(
        ConfigurationError, match=r"no option 'max_concurency': .* 'max_concurrency'"
    ):
        await do(llm, "fit", fakes.questions, fakes.references, max_concurency=3)
    assert asked(llm) == [30, 30]


async def test_the_whole_conversation_tells_questions_apart(fakes, do, tmp_path):
    path = tmp_path / "journal.jsonl"

    def chats(system):
        return [
            [SystemMessage(system), HumanMessage("Hi", id="1"), AIMessage("Yes?"), HumanMessage(q)]
            for q in ("go on", "question 2")
        ]

    llm = fakes.learning()
    await do(llm, "collect", chats("Be brief."), path=path)
    await do(llm, "collect", chats("Be nice.."), path=path)  # as long: the query is the same
    await do(llm, "collect", chats("Be brief."), path=path)
    assert [e for e in llm.models["weak"].log if e.startswith("asked")] == sorted(
        ["asked go on", "asked question 2"] * 2, key=lambda e: 0
    )
    queries = [json.loads(line) for line in path.read_text().splitlines() if '"query"' in line]
    assert len({line["key"] for line in queries}) == 4
    assert len({json.dumps(line["query"]) for line in queries}) == 2


async def test_learning_without_the_questions_that_failed(fakes, do):
    def answer(question):
        if "number 4" in question:
            return fakes.Say("", error=ValueError("no"))
        return fakes.Say("yes" if "easy" in question else "no", 0.9)

    llm = fakes.learning()
    llm.models["weak"].script = answer
    with pytest.raises(
        DataError, match=r"'weak' failed on the question .*number 4.*ValueError: no"
    ):
        await do(llm, "fit", fakes.questions, fakes.references)
    assert len(llm.models["strong"].log) < 30 * 3  # it stopped: nothing was kept
    await do(llm, "fit", fakes.questions, fakes.references, on_missing="drop")
    assert llm.router.is_fitted
