"""A child that is asked again, to see whether it says the same, in the LangChain adapter."""

from __future__ import annotations

from collections import Counter

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import HumanMessage, SystemMessage

from cascade_engine import ConfigurationError, DataError
from langchain_cascade import CascadeRoutingLLM

HARD, EASY = "hard question number 3?", "easy question number 4?"


@pytest.fixture(scope="module")
def make(fakes):
    """The factory of cascades: the weak child says yes to what is easy, and else this and that."""

    def build(*, strong=None, **fields):
        asked = Counter()

        def weak(question):
            asked[question] += 1
            sure = question.startswith("easy")
            return fakes.Say("yes" if sure else f"number {asked[question]}", None)

        models = {
            "weak": fakes.StreamChat(model_name="weak", script=weak),
            "strong": strong or fakes.StreamChat(model_name="strong", script=fakes.Say("yes", 0.9)),
        }
        fields = {"prices": fakes.PRICES, "strategy": "cascading", "samples": {"weak": 2}, **fields}
        return CascadeRoutingLLM(models=models, **fields)

    return build


@pytest.fixture(scope="module")
def learned(make, fakes):
    """Not to be changed."""
    return make().fit(fakes.questions, fakes.references, progress=False)


@pytest.fixture
def llm(make, learned):
    made = make()
    made._router = learned.router
    return made


def log_of(chat):
    return [line for line in chat.log if line.startswith("asked")]


def test_fitting_asks_as_often_as_it_needs_and_charges_for_it(make, fakes):
    llm = make().fit(fakes.questions, fakes.references, progress=False)
    assert Counter(log_of(llm.models["weak"])) == {f"asked {q}": 3 for q in fakes.questions}
    assert llm.router.frontier_.cost[0] == pytest.approx(3 * 7 / 1e6)


async def test_fitting_can_be_asynchronous(make, fakes):
    llm = make()
    await llm.afit(fakes.questions, fakes.references, progress=False)
    assert llm.router.frontier_.cost[0] == pytest.approx(3 * 7 / 1e6)


def test_a_collection_is_large_enough_by_itself(make, fakes):
    llm = make()
    llm.fit(llm.collect(fakes.questions, progress=False), fakes.references)
    assert llm.router.is_fitted
    with pytest.raises(DataError, match=r"collect\(\.\.\., samples=3\)"):
        llm.fit(llm.collect(fakes.questions, samples=2, progress=False), fakes.references)


async def test_a_draft_is_sampled_in_every_way_of_asking(llm, fakes, ask):
    tracer, usage = fakes.Tracer(), UsageMetadataCallbackHandler()
    message = await ask(llm, HARD, {"callbacks": [tracer, usage]})
    made = message.response_metadata["cascade"]
    assert message.text == "yes"
    assert made["models_run"] == ["weak", "strong"]
    assert [(a["name"], a["purpose"], a["about"]) for a in made["advice"]] == [
        ("weak", "sample", "weak")
    ] * 2
    assert made["total_cost"] == pytest.approx((3 * 7 + 70) / 1e6)
    ((_, *children),) = tracer.tree()
    assert children == ["weak", "weak", "weak", "strong"]
    assert usage.usage_metadata["weak"]["total_tokens"] == 21


async def test_a_draft_that_is_repeated_is_kept(llm, ask):
    message = await ask(llm, EASY)
    made = message.response_metadata["cascade"]
    assert message.text == "yes"
    assert made["models_run"] == ["weak"]
    assert made["total_cost"] == pytest.approx(3 * 7 / 1e6)


def test_no_sample_is_shown(llm, fakes):
    tokens = fakes.Tokens()
    chunks = list(llm.stream(HARD, {"callbacks": [tokens]}))
    assert "".join(chunk.text for chunk in chunks) == "yes"


def test_a_sample_gets_the_same_messages_and_keywords(llm, monkeypatch):
    seen = []
    child = type(llm.models["weak"])

    def generate(self, messages, stop=None, run_manager=None, **kwargs):
        seen.append((self.model_name, messages, stop, kwargs))
        return child.__mro__[1]._generate(self, messages, stop, run_manager, **kwargs)

    monkeypatch.setattr(child, "_generate", generate)
    monkeypatch.setattr(child, "_should_stream", lambda *args, **kwargs: False)
    llm.invoke([SystemMessage("Be brief."), HumanMessage(HARD)], stop=["."], user="me")
    weak = [call[1:] for call in seen if call[0] == "weak"]
    assert len(weak) == 3
    assert weak[0] == weak[1] == weak[2]
    assert weak[0][1] == ["."]
    assert weak[0][2] == {"user": "me"}


def test_the_hard_cap_holds(llm):
    capped = llm.model_copy(update={"max_cost": 85e-6})
    made = capped.invoke(HARD).response_metadata["cascade"]
    assert len(made["advice"]) == 1  # a second one would leave the strong child too little
    assert made["total_cost"] <= 85e-6


def test_saving_and_loading(learned, make, tmp_path):
    learned.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, make().models)
    assert loaded.samples == {"weak": 2}
    made = loaded.invoke(HARD).response_metadata["cascade"]
    assert len(made["advice"]) == 2
    with pytest.raises(ConfigurationError, match=r"\['samples'\] come from"):
        CascadeRoutingLLM.load(tmp_path, make().models, samples={"weak": 3})


def test_bad_options_are_refused(make):
    for bad, why in [({"huge": 1}, "not among the models"), ({"weak": 0}, ">= 1"), (2, "mapping")]:
        with pytest.raises(ConfigurationError, match=why):
            make(samples=bad)
