"""What one call may change, in every way of asking and of composing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnableSequence

from cascade_engine import ConfigurationError, InfeasibleBudgetError, NotFittedError
from cascade_engine.plugin.call_options import OPTIONS
from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._options import SPECS


@pytest.fixture(scope="module")
def fitted(fakes):
    """Shared and not to be changed."""
    return fakes.learning().fit(fakes.questions, fakes.references)


def configured(**options):
    return {"configurable": options}


def record(message):
    return message.response_metadata["cascade"]


async def test_a_model_can_be_forced(fakes, ask):
    llm = fakes.cascade()
    for given in (configured(model="strong"), None):
        kwargs = {} if given else {"model": "strong"}
        message = await ask(llm, "Hi", given, **kwargs)
        assert message.text == "the right answer"
        assert record(message)["models_run"] == ["strong"]
        assert record(message)["decisions"][0]["final"] is True
    weak = await ask(llm, "Hi", configured(model="weak"))
    assert weak.text == "a poor draft"
    assert record(weak)["failures"] == []


async def test_a_forced_model_of_a_fitted_cascade(fitted, ask):
    cheap = fitted.with_budget(7e-6)
    for model in ("weak", "strong"):
        message = await ask(cheap, "hard question number 3?", configured(model=model))
        assert record(message)["models_run"] == [model]


async def test_a_forced_model_is_not_told_of_the_keyword(fakes, ask):
    seen = []

    class Spy(fakes.WholeChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append(kwargs)
            return super()._generate(messages, stop, run_manager, **kwargs)

    llm = CascadeRoutingLLM(models={"spy": Spy(script=fakes.Say("hm")), "other": Spy()})
    await ask(llm, "Hi", model="spy")
    await ask(llm.bind(model="spy"), "Hi")
    assert seen == [{}, {}]


async def test_a_forced_model_keeps_to_the_cap(fakes, ask):
    with pytest.raises(InfeasibleBudgetError, match="'strong', the cheapest"):
        await ask(fakes.cascade(), "Hi", configured(model="strong", max_cost=1e-9))


def test_a_forced_model_is_what_tracers_are_told(fakes):
    tracer = fakes.Tracer()
    llm = fakes.cascade()
    llm.invoke("Hi", {"callbacks": [tracer]})
    llm.invoke("Hi", {"callbacks": [tracer]}, model="strong")
    llm.invoke("Hi", {"callbacks": [tracer], **configured(model="weak")})
    told = [run.metadata["ls_model_name"] for run in tracer.roots]
    assert told == ["cascade(weak, strong)", "strong", "weak"]
    assert llm._get_ls_params(model="any")["ls_model_name"] == "any"


async def test_lambda_in_place_of_a_budget(fitted, ask):
    hard = "hard question number 3?"
    free = await ask(fitted, hard, configured(lam=0.0))
    mean = await ask(fitted, hard, configured(lam=1e9))
    assert record(free)["chosen"] == "strong"
    assert record(mean)["models_run"] == ["weak"]
    assert (record(free)["lambda"], record(mean)["lambda"]) == (0.0, 1e9)
    assert record(free)["budget"] is None


async def test_lambda_means_nothing_before_a_fit(fakes, ask):
    with pytest.raises(ConfigurationError, match=r"lam=0\.5 .* before fit: call fit first"):
        await ask(fakes.cascade(), "Hi", configured(lam=0.5))


async def test_the_strategy_of_a_call(fitted, ask):
    hard = "hard question number 3?"
    for name in ("routing", "cascading", "threshold_cascade"):
        assert record(await ask(fitted, hard, configured(strategy=name)))["strategy"] == name
    assert record(await ask(fitted, hard))["strategy"] == fitted.router.strategy.name


async def test_a_strategy_is_tuned_once_for_each_fit(fakes, fitted, ask, monkeypatch):
    llm, tuned = fitted.with_budget(None), []
    with_strategy = type(llm.router).with_strategy

    def counting(router, name):
        tuned.append(name)
        return with_strategy(router, name)

    monkeypatch.setattr(type(llm.router), "with_strategy", counting)
    for _ in range(2):
        await ask(llm, "Hi", configured(strategy="routing"))
        await ask(llm.with_config(configurable={"strategy": "routing"}), "Hi")
    await ask(llm, "Hi", configured(strategy=llm.router.strategy.name))
    assert tuned == ["routing"]
    llm.fit(fakes.questions, fakes.references)
    await ask(llm, "Hi", configured(strategy="routing"))
    assert tuned == ["routing"] * 2


def test_a_strategy_needs_the_fitting_data(fakes, fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = CascadeRoutingLLM.load(tmp_path, fakes.learning().models)
    with pytest.raises(NotFittedError, match="include_fitting_data"):
        loaded.invoke("Hi", configured(strategy="routing"))


async def test_options_after_tools_are_bound(fakes, ask):
    class Tools(fakes.StreamChat):
        def bind_tools(self, tools, **kwargs):
            return self.bind(tools=tools, **kwargs)

    models = {
        name: Tools(model_name=name, script=fakes.Say(name, 0.5)) for name in ("weak", "strong")
    }
    llm = CascadeRoutingLLM(models=models, prices=fakes.PRICES)
    tool = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    capped = configured(max_cost=1e-3)
    for bound in (
        llm.bind_tools([tool]).with_config(capped),
        llm.with_config(capped).bind_tools([tool]),
        llm.bind(temperature=0.5).with_config(capped).bind_tools([tool]),
    ):
        assert record(await ask(bound, "Hi"))["models_run"] == ["weak"]
    assert record(await ask(llm.bind_tools([tool]), "Hi", capped))["models_run"] == ["weak"]
    message = await ask(llm.bind_tools([tool]), "Hi", model="strong")
    assert record(message)["models_run"] == ["strong"]


async def test_options_in_a_chain_and_a_function(fakes, ask):
    llm = fakes.cascade()
    chain = ChatPromptTemplate.from_template("{q}") | llm
    assert record(await ask(chain, {"q": "Hi"}, configured(model="strong")))["models_run"] == [
        "strong"
    ]
    inner = RunnableLambda(lambda q: llm.invoke(f"{q}"))
    assert record(inner.invoke("Hi", configured(model="strong")))["models_run"] == ["strong"]
    listed = RunnableLambda(lambda q: llm.generate([[HumanMessage(q)]]).generations[0][0].message)
    assert record(listed.invoke("Hi", configured(model="strong")))["models_run"] == ["strong"]


async def test_options_of_each_in_a_batch(fakes):
    configs = [configured(model=name) for name in ("strong", "weak")]
    llm = fakes.cascade()
    for messages in (llm.batch(["a", "b"], configs), await llm.abatch(["a", "b"], configs)):
        assert [record(m)["models_run"] for m in messages] == [["strong"], ["weak"]]


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_options_in_streams_of_events(fakes):
    llm, config = fakes.cascade(), configured(model="strong")
    assert record(llm.stream_events("Hi", config, version="v3").output)["models_run"] == ["strong"]
    stream = await llm.astream_events("Hi", config, version="v3")
    assert record(await stream.output)["models_run"] == ["strong"]
    events = [e async for e in llm.astream_events("Hi", config, version="v2")]
    assert record(events[-1]["data"]["output"])["models_run"] == ["strong"]


def test_options_are_the_cascades_own(fakes):
    seen = []

    def child(messages, config):
        seen.append(config["configurable"])
        return fakes.cascade().invoke(messages)

    llm = CascadeRoutingLLM(models={"only": RunnableLambda(child)}, prices={})
    llm.invoke("Hi", configured(model="only", thread_id="7"))
    assert seen == [{"thread_id": "7"}]


def test_fields_that_would_lose_the_fit_cannot_be_made_configurable(fakes, fitted):
    field = ConfigurableField(id="cap")
    with pytest.raises(ConfigurationError, match=r"configurable_fields\(max_cost\) would build"):
        fitted.configurable_fields(max_cost=field)
    llm = fakes.cascade().configurable_fields(max_cost=field)
    assert record(llm.invoke("Hi", configured(cap=1e-3)))["models_run"] == ["weak"]


def test_options_are_published(fakes):
    llm = fakes.cascade()
    assert {spec.id for spec in llm.config_specs} == set(OPTIONS)
    assert all(spec.description for spec in SPECS)
    chain = ChatPromptTemplate.from_template("{q}") | llm | RunnableLambda(str) | llm
    assert isinstance(chain, RunnableSequence)
    assert {spec.id for spec in chain.config_specs} == set(OPTIONS)
    fields = llm.config_schema(include=["configurable"]).model_json_schema()
    assert set(fields["$defs"]["Configurable"]["properties"]) == set(OPTIONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gpt"}, r"model='gpt' is none of the children: choose \['weak', 'strong'\]"),
        ({"model": 7}, r"\['model'\] must be a name, not 7"),
        ({"strategy": ["routing"]}, r"\['strategy'\] must be a name"),
        ({"strategy": "best"}, r"unknown strategy 'best': choose one of"),
        ({"lam": -1}, r"\['lam'\] must be a number >= 0, not -1"),
        ({"lam": "low"}, r"\['lam'\] must be a number >= 0, not 'low'"),
        ({"lam": 1, "max_expected_cost": 1}, "lam=1 and max_expected_cost=1 contradict each other"),
        ({"model": "weak", "lam": 1}, "model='weak' and lam=1 contradict each other"),
        ({"model": "weak", "strategy": "routing"}, "strategy='routing' contradict each other"),
        ({"model": "weak", "max_expected_cost": 1}, "max_expected_cost=1 contradict each other"),
    ],
)
async def test_options_that_cannot_work(fakes, ask, options, message):
    with pytest.raises(ConfigurationError, match=message):
        await ask(fakes.cascade(), "Hi", configured(**options))


async def test_a_keyword_and_an_option_that_contradict(fakes, ask):
    llm = fakes.cascade()
    with pytest.raises(ConfigurationError, match=r"model='weak' of the call and .*'strong'"):
        await ask(llm, "Hi", configured(model="strong"), model="weak")
    with pytest.raises(ConfigurationError, match="model='weak' and lam=1"):
        await ask(llm, "Hi", configured(lam=1), model="weak")
    with pytest.raises(ConfigurationError, match="model='gpt' is none of the children"):
        await ask(llm, "Hi", model="gpt")
    same = await ask(llm, "Hi", configured(model="strong"), model="strong")
    assert record(same)["models_run"] == ["strong"]


async def test_every_option_is_a_keyword_too(fakes, fitted, ask):
    seen = []

    class Spy(fakes.StreamChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append(kwargs)
            return super()._generate(messages, stop, run_manager, **kwargs)

    hard = "hard question number 3?"
    spies = {n: Spy(model_name=n, script=fakes.Say(n, 0.5)) for n in ("weak", "strong")}
    llm = CascadeRoutingLLM(models=spies, prices=fakes.PRICES)
    for option in ("max_cost", "max_expected_cost"):
        for message in (
            await ask(llm, "Hi", **{option: 1e-3}),
            await ask(llm.bind(**{option: 1e-3}), "Hi"),
            await ask(llm, "Hi", configured(**{option: 1.0}), **{option: 1e-3}),
        ):
            assert record(message)["models_run"] == ["weak"]
    assert seen == [{}] * len(seen)
    assert record(await ask(fitted, hard, lam=1e9))["lambda"] == 1e9
    assert record(await ask(fitted, hard, strategy="routing"))["strategy"] == "routing"
    assert record(await ask(fitted, hard, lam=None, strategy=None))["chosen"] == "strong"
    with pytest.raises(ConfigurationError, match=r"max_cost must be a number >= 0, not 'x'"):
        await ask(llm, "Hi", max_cost="x")
    with pytest.raises(ConfigurationError, match="lam=1 and max_expected_cost=2 contradict"):
        await ask(fitted, "Hi", configured(lam=1), max_expected_cost=2)


async def test_no_budget_for_one_call(fitted, ask):
    cheap, hard = fitted.with_budget(7e-6), "hard question number 3?"
    assert record(await ask(cheap, hard))["chosen"] == "weak"
    assert record(await ask(cheap, hard, configured(max_expected_cost=None)))["chosen"] == "strong"
    assert record(await ask(cheap, hard, configured(max_cost=None)))["chosen"] == "weak"
    aimed = await ask(cheap, hard, configured(lam=1e9, max_expected_cost=None))
    assert record(aimed)["lambda"] == 1e9


async def test_a_record_is_json_whatever_numbers_are_given(fitted, ask):
    given = configured(lam=np.float32(0.5))
    made = json.loads(json.dumps(record(await ask(fitted, "Hi", given))))
    assert made["lambda"] == 0.5


async def test_options_that_are_none_are_not_given(fakes, ask):
    nothing = dict.fromkeys(("lam", "strategy", "model"))
    made = record(await ask(fakes.cascade(), "Hi", configured(**nothing)))
    assert made["models_run"] == ["weak", "strong"]
