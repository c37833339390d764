"""The constructor's arguments, and what a cascade is to tracers, caches and agents."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from pydantic import SecretStr, ValidationError

from cascade_engine import AllModelsFailedError, ConfigurationError
from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._identity import common_profile, digest, identify
from tests.helpers import whole

STANDARD = {
    "temperature": 0.5,
    "max_tokens": 10,
    "timeout": 7,
    "stop": ["x"],
    "max_retries": 2,
    "streaming": False,
    "api_key": "sk-secret",
}


def spying(fakes, seen, **fields):
    """A child that notes how it is called."""

    class Spy(fakes.WholeChat):
        secret: SecretStr | None = None

        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append({"stop": stop, **kwargs})
            return super()._generate(messages, stop, run_manager, **kwargs)

        def get_token_ids(self, text):
            return [len(word) for word in text.split()]

    return Spy(**{"model_name": "spy", "script": fakes.Say("hm", 0.95), **fields})


async def test_standard_parameters_reach_the_children(fakes, ask):
    seen = []
    llm = CascadeRoutingLLM(models=[spying(fakes, seen)], **STANDARD)
    given = {"temperature": 0.5, "max_tokens": 10, "timeout": 7}
    await ask(llm, "Hi")
    await ask(llm, "Hi", temperature=0.9, stop=["y"])
    assert seen == [{"stop": ["x"], **given}, {"stop": ["y"], **given, "temperature": 0.9}]


async def test_parameters_that_are_not_given_are_not_passed_on(fakes, ask):
    seen = []
    await ask(CascadeRoutingLLM(models=[spying(fakes, seen)], stop=[]), "Hi")
    assert seen == [{"stop": None}]


async def test_in_a_chain_they_reach_the_model(fakes, ask):
    seen = []
    spy = spying(fakes, seen)
    chains = {
        "first": RunnableLambda(lambda messages: messages) | spy,
        "second": RunnableLambda(lambda messages: messages) | spy | RunnableLambda(lambda m: m),
    }
    for name, chain in chains.items():
        llm = CascadeRoutingLLM(models={name: chain}, temperature=0.5)
        await ask(llm, "Hi", stop=["x"])
    assert seen == [{"stop": ["x"], "temperature": 0.5}] * 2


class Flaky:
    """A script that fails some times before it answers."""

    def __init__(self, fakes, times, error):
        self.fakes, self.left, self.error = fakes, times, error

    def __call__(self, question):
        self.left -= 1
        return self.fakes.Say("yes", 0.95, self.error if self.left >= 0 else None)


@pytest.fixture
def no_pauses(monkeypatch):
    """Seconds that would have been waited."""
    waited = []

    async def asleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("cascade_engine.core.retries.time.sleep", waited.append)
    monkeypatch.setattr("cascade_engine.core.retries.asyncio.sleep", asleep)
    return waited


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
async def test_a_passing_error_is_tried_again(fakes, no_pauses, way):
    async def ask(llm):
        return await llm.ainvoke("Hi") if way == "ainvoke" else llm.invoke("Hi")

    weak = fakes.WholeChat(model_name="weak", script=Flaky(fakes, 2, TimeoutError("slow")))
    made = (await ask(fakes.cascade(weak, max_retries=2))).response_metadata["cascade"]
    assert (made["models_run"], made["failures"]) == (["weak"], [])
    assert len(no_pauses) == 2
    for retries, error in ((1, TimeoutError("slow")), (9, ValueError("never"))):
        weak = fakes.WholeChat(model_name="weak", script=Flaky(fakes, 2, error))
        made = (await ask(fakes.cascade(weak, max_retries=retries))).response_metadata["cascade"]
        assert made["models_run"] == ["strong"]


async def test_so_is_one_of_a_final_step_while_nothing_was_shown(fakes, no_pauses, ask):
    decisions = []

    class Decisions(BaseCallbackHandler):
        def on_custom_event(self, name, data, **kwargs):
            decisions.append(name)

    only = fakes.StreamChat(model_name="only", script=Flaky(fakes, 2, TimeoutError("slow")))
    llm = CascadeRoutingLLM([only], max_retries=2)
    message = await ask(llm, "Hi", {"callbacks": [Decisions()]})
    assert message.text == "yes"
    made = message.response_metadata["cascade"]
    assert (made["models_run"], made["failures"]) == (["only"], [])
    assert len(no_pauses) == 2
    assert decisions.count("cascade_decision") == 2
    only.script = Flaky(fakes, 2, TimeoutError("slow"))
    with pytest.raises(AllModelsFailedError, match="slow"):
        await ask(CascadeRoutingLLM([only], max_retries=1), "Hi")


async def test_what_came_before_a_further_try_is_forgotten(fakes, no_pauses):
    class Slow(fakes.StreamChat):
        def pieces(self, messages):
            start = AIMessageChunk("", usage_metadata=fakes.USAGE)
            yield ChatGenerationChunk(message=start)
            yield from super().pieces(messages)

    only = Slow(model_name="only", script=Flaky(fakes, 1, TimeoutError("slow")))
    message = whole(list(CascadeRoutingLLM([only], max_retries=1).stream("Hi")))
    assert len(no_pauses) == 1
    assert message.usage_metadata["total_tokens"] == 2 * fakes.USAGE["total_tokens"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature_": 0}, "no argument 'temperature_': did you mean 'temperature'"),
        ({"zzz": 0}, "no argument 'zzz': it takes .*'models'"),
        ({"budget": 1.0}, "no argument 'budget': did you mean 'max_expected_cost'"),
        ({"base_url": "http://x"}, "base_url belongs to the children"),
        ({"model": "gpt"}, "model belongs to the children"),
    ],
)
def test_unknown_arguments_are_refused(fakes, fields, message):
    with pytest.raises(ConfigurationError, match=message):
        fakes.cascade(**fields)


@pytest.mark.parametrize("fields", [{"max_retries": -1}, {"temperature": "hot"}, {"stop": "x"}])
def test_standard_parameters_of_the_wrong_kind(fakes, fields):
    with pytest.raises(ValidationError, match=next(iter(fields))):
        fakes.cascade(**fields)


def profiled(fakes, *profiles):
    models = {f"m{i}": fakes.WholeChat(profile=profile) for i, profile in enumerate(profiles)}
    return CascadeRoutingLLM(models=models).profile


def test_the_profile_is_what_all_children_can_do(fakes):
    first = {
        "name": "a",
        "max_input_tokens": 1000,
        "max_output_tokens": 50,
        "tool_calling": True,
        "image_inputs": True,
        "structured_output": True,
        "reasoning_effort_levels": ["low", "high"],
    }
    second = {
        "name": "b",
        "max_input_tokens": 400,
        "tool_calling": True,
        "image_inputs": False,
        "reasoning_effort_levels": ["high"],
        "open_weights": False,
    }
    assert profiled(fakes, first, second) == {
        "max_input_tokens": 400,
        "tool_calling": True,
        "image_inputs": False,
        "reasoning_effort_levels": ["high"],
        "open_weights": False,
    }
    assert profiled(fakes, first) == first
    assert profiled(fakes, first, None) is None
    assert common_profile([]) is None


def test_a_profile_given_is_kept(fakes):
    llm = fakes.cascade(profile={"max_input_tokens": 5})
    assert llm.profile == {"max_input_tokens": 5}


def test_a_bound_child_has_its_models_profile(fakes):
    child = fakes.WholeChat(profile={"max_input_tokens": 9}).bind(temperature=0)
    assert CascadeRoutingLLM(models={"a": child}).profile == {"max_input_tokens": 9}
    chain = {"a": RunnableLambda(lambda m: m) | child}
    assert CascadeRoutingLLM(models=chain).profile == {"max_input_tokens": 9}


def test_children_in_a_list_are_named_after_the_model_they_call(fakes):
    small, large = (fakes.WholeChat(model_name=name) for name in ("small", "large"))
    before = RunnableLambda(lambda messages: messages)
    for children in (
        [small.with_retry(), large.bind(user="me").with_retry()],
        [before | small, before | large.with_retry() | RunnableLambda(lambda message: message)],
        [small.with_fallbacks([large]), large.with_fallbacks([small])],
    ):
        assert list(CascadeRoutingLLM(models=children).models) == ["small", "large"]
    assert list(CascadeRoutingLLM(models=[before]).models) == ["RunnableLambda"]


def test_tokens_are_counted_by_a_child(fakes):
    chain = RunnableLambda(lambda m: m)
    llm = CascadeRoutingLLM(models={"chain": chain, "spy": spying(fakes, [])})
    assert llm.get_token_ids("a bc") == [1, 2]
    assert llm.get_num_tokens("a bc d") == 3
    assert llm.get_num_tokens_from_messages([HumanMessage("a bc")]) == 3  # "Human: a bc"
    with pytest.raises(ConfigurationError, match=r"no child counts tokens.*'chain'"):
        CascadeRoutingLLM(models={"chain": chain}).get_num_tokens("a")
    own = CascadeRoutingLLM(models={"chain": chain}, custom_get_token_ids=lambda text: [7, 7])
    assert (own.get_token_ids("a"), own.get_num_tokens("a")) == ([7, 7], 2)
    assert own.get_num_tokens_from_messages([HumanMessage("a")] * 2) == 4


def test_tracers_are_told_the_common_provider(fakes):
    told = fakes.cascade(temperature=0.5, stop=["x"])._get_ls_params()
    assert told["ls_provider"] == "stream"
    assert told["ls_temperature"] == 0.5
    assert told["ls_stop"] == ["x"]
    mixed = CascadeRoutingLLM(models={"a": fakes.WholeChat(), "b": fakes.StreamChat()})
    assert mixed._get_ls_params()["ls_provider"] == "cascade-routing"


def test_it_is_not_serialised_by_langchain():
    assert CascadeRoutingLLM.is_lc_serializable() is False


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 0.1}, {"temperature": 0.2}),
        ({"stop": ["a"]}, {"stop": ["b"]}),
        ({"strategy": "routing"}, {"strategy": "cascading"}),
        ({"seed": 1}, {"seed": 2}),
        ({"cost": lambda name, answer: 1.0}, {"cost": lambda name, answer: 2.0}),
    ],
)
def test_the_cache_keeps_other_settings_apart(fakes, one, other):
    cache = InMemoryCache()
    for fields in (one, other, one):
        fakes.cascade(cache=cache, **fields).invoke("Hi")
    assert len(cache._cache) == 2


def test_the_cache_keeps_other_children_apart(fakes):
    cache = InMemoryCache()
    for script in ("a", "b", "a"):
        weak = fakes.StreamChat(model_name="weak", script=fakes.Say(script, 0.99))
        assert fakes.cascade(weak, cache=cache).invoke("Hi").text == script
    weak = fakes.StreamChat(model_name="weak", script=fakes.Say("a", 0.99))
    fakes.cascade(weak.bind(temperature=0), cache=cache).invoke("Hi")
    fakes.cascade(RunnableLambda(lambda m: m) | weak, cache=cache).invoke("Hi")
    assert len(cache._cache) == 4


def test_the_cache_knows_a_fit_from_another(fakes):
    llm = fakes.learning()
    before = llm._identifying_params
    llm.fit(fakes.questions, fakes.references)
    after = llm._identifying_params
    assert after["policy"] != before["policy"]
    assert llm.with_budget(7e-6)._identifying_params["policy"] != after["policy"]
    assert llm._identifying_params == after


def test_what_identifies_a_cascade_is_plain_and_holds_no_secret(fakes):
    told = json.dumps(
        fakes.cascade(
            CascadeRoutingLLM(models={"spy": spying(fakes, [], secret=SecretStr("sk-secret"))}),
            api_key="sk-secret",
        )._identifying_params
    )
    assert "secret" not in told
    assert "0x" not in told


_SCRIPT = """
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.runnables import RunnableLambda
from langchain_cascade._identity import digest
child = GenericFakeChatModel(messages=iter([]), tags=["a"], metadata={"b": {1, 2, 3}})
print(digest([child.bind(stop=["x"]), RunnableLambda(len) | child, {"x", "y", "z"}]))
"""


def test_what_identifies_a_child_is_the_same_in_another_process():
    found = {
        subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_digests_tell_functions_and_objects_apart(fakes):
    def shift(by):
        return lambda number: number + by

    class Thing:
        def __init__(self, value):
            self.value = value

    different = [
        *(len, str, shift(1), shift(2), Thing(1), Thing(2), Thing(1).__init__, Thing(2).__init__),
        *([1, 2], {1, 2}, {"a": 1}, None, "1", 1),
    ]
    digests = [digest(value) for value in different]
    assert len(set(digests)) == len(different)
    assert digest(Thing(1)) == digest(Thing(1))
    assert digest(shift(1)) == digest(shift(1))
    loop = Thing(None)
    loop.value = loop
    assert digest(loop)
    assert identify(fakes.WholeChat(model_name="m"))["model"] == "m"
