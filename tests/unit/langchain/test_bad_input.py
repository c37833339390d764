"""What cannot work is refused where it is given, by an error that names it and the remedy."""

from __future__ import annotations

import math

import pytest
from langchain_core.runnables import RunnableLambda
from pydantic import ValidationError

from cascade_engine import CascadeError, ConfigurationError, DataError, InfeasibleBudgetError, Price
from cascade_engine.errors import UnknownPriceError
from langchain_cascade import CascadeRoutingLLM


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], r"no models given: pass models=\[small, large\]"),
        ({}, "no models given"),
        ("gpt", "must be a list of chat models or a mapping of names to them, not 'gpt'"),
        (None, "must be a list of chat models"),
        ([None], "is NoneType, no chat model"),
        ({"a": "gpt"}, "model 'a' is str, no chat model"),
        (["gpt", "large"], "is str, no chat model: 'gpt'"),
        ({"": RunnableLambda(str)}, "non-empty string, not ''"),
        ({1: RunnableLambda(str)}, "non-empty string, not 1"),
        ([RunnableLambda(str), RunnableLambda(str)], r"same name.*pass models=\{'a name': model"),
    ],
)
def test_models_that_are_none(models, message):
    with pytest.raises(ConfigurationError, match=message):
        CascadeRoutingLLM(models=models)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_expected_cost": -1}, "a budget must be a number >= 0, not -1"),
        ({"max_expected_cost": math.nan}, "a budget must be a number >= 0, not nan"),
        ({"max_cost": -1}, "max_cost must be a number >= 0, not -1"),
        ({"max_cost": math.nan}, "max_cost must be a number >= 0, not nan"),
        ({"strategy": "best"}, "unknown strategy 'best': choose one of .*'cascade_routing'"),
        ({"cost": "euros"}, 'cost must be "price", "seconds" or a callable, not \'euros\''),
        ({"cost": ["price"]}, r"cost must be .* not \['price'\]"),
        ({"prices": {"gpt": Price(1, 1)}}, r"prices are given for \['gpt'\].*'weak', 'strong'"),
        ({"prices": {"weak": {"input": -1, "output": 1}}}, r"input price is -1"),
        ({"priors": [0.5]}, r"priors must be 2 numbers in \[0, 1\].*not \[0.5\]"),
        ({"priors": [0.5, 1.5]}, r"not \[0.5, 1.5\]"),
    ],
)
def test_options_that_cannot_work(fakes, fields, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        fakes.cascade(**fields)
    assert isinstance(raised.value, CascadeError)
    assert "pydantic" not in str(raised.value)


def test_what_pydantic_objects_to_stays_its_own(fakes):
    with pytest.raises(ValidationError, match=r"prices\.weak"):
        fakes.cascade(prices={"weak": "cheap"})


def test_children_under_other_names(fakes):
    children = list(fakes.cascade().models.values())
    for made in (CascadeRoutingLLM(children), CascadeRoutingLLM(llms=children)):
        assert list(made.models) == ["weak", "strong"]
    with pytest.raises(ConfigurationError, match="pass either models"):
        CascadeRoutingLLM(children, llms=children)
    with pytest.raises(ConfigurationError, match="'children': did you mean 'models'"):
        CascadeRoutingLLM(children=children)
    with pytest.raises(ConfigurationError, match=r"must be a list of chat models .* not None"):
        CascadeRoutingLLM()


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("max_expected_cost", 1e-9, r"take with_budget\(...\), or give max_expected_cost with"),
        ("strategy", "routing", "build another cascade"),
        ("models", {}, "build another cascade"),
    ],
)
def test_what_was_built_in_is_not_assigned_in_vain(fakes, field, value, remedy):
    llm = fakes.cascade()
    before = getattr(llm, field)
    with pytest.raises(ConfigurationError, match=f"{field} cannot be assigned.*{remedy}"):
        setattr(llm, field, value)
    assert getattr(llm, field) is before
    with pytest.raises(ConfigurationError, match=f"{field} cannot be assigned.*{remedy}"):
        llm.model_copy(update={"temperature": 0.5, field: value})
    assert llm.model_copy(update={"temperature": 0.5}).temperature == 0.5
    llm.temperature = 0.5
    assert llm.temperature == 0.5


def test_a_budget_can_be_changed_to_none_that_is_bad(fakes):
    for bad in (-1, math.nan):
        with pytest.raises(ConfigurationError, match=rf"must be a number >= 0, not {bad}"):
            fakes.cascade().with_budget(bad)


async def test_no_messages(fakes, ask):
    with pytest.raises(ConfigurationError, match="no messages given"):
        await ask(fakes.cascade(), [])


async def test_an_empty_prompt_is_a_question_like_any_other(fakes, ask):
    assert (await ask(fakes.cascade(), "")).text == "the right answer"


async def test_a_budget_below_the_cheapest(fakes, ask):
    for key in ("max_expected_cost", "max_cost"):
        with pytest.raises(
            InfeasibleBudgetError, match=r"as little as 1e-09.*'weak', the cheapest"
        ):
            await ask(fakes.cascade(**{key: 1e-9}), "Hi")


async def test_a_budget_above_everything(fakes, ask):
    for key in ("max_expected_cost", "max_cost"):
        for much in (1e9, math.inf):
            message = await ask(fakes.cascade(**{key: much}), "Hi")
            assert message.text == "the right answer"


async def test_a_budget_without_prices(fakes, ask):
    for key in ("max_expected_cost", "max_cost"):
        llm = fakes.cascade(prices={"weak": Price(1, 1)}, **{key: 1})
        with pytest.raises(UnknownPriceError, match=r"\['strong'\] is unknown: pass prices="):
            await ask(llm, "Hi")


async def test_without_prices_costs_are_unknown_not_zero(fakes, ask):
    made = (await ask(fakes.cascade(prices={}), "Hi")).response_metadata["cascade"]
    assert made["total_cost"] is None
    assert [call["cost"] for call in made["calls"]] == [None, None]


async def test_tokens_that_are_not_counted_make_costs_unknown(fakes, ask):
    strong = fakes.StreamChat(model_name="strong", script=fakes.Say("yes"), counts_tokens=False)
    message = await ask(fakes.cascade(strong=strong), "Hi")
    assert message.usage_metadata is None
    made = message.response_metadata["cascade"]
    assert [call["cost"] for call in made["calls"]] == [pytest.approx(7e-6), None]
    assert made["total_cost"] is None


@pytest.mark.parametrize(
    ("questions", "kwargs", "error", "message"),
    [
        (["a"], {}, ConfigurationError, r"pass references=\[...\].*or grade="),
        ([], {"references": []}, DataError, "no questions given"),
        (["a", "b"], {"references": ["x"]}, DataError, "2 questions and 1 references"),
        (["a"] * 3, {"references": ["x"] * 3}, DataError, "1 distinct queries are too few"),
    ],
)
async def test_what_cannot_be_learned_from(fakes, questions, kwargs, error, message):
    with pytest.raises(error, match=message):
        fakes.learning().fit(questions, **kwargs)
    with pytest.raises(error, match=message):
        await fakes.learning().afit(questions, **kwargs)


def test_evaluate_refuses_the_same(fakes, fitted_router):
    llm = fakes.learning(strategy="routing")
    llm._router = fitted_router
    with pytest.raises(DataError, match="30 questions and 1 references"):
        llm.evaluate(fakes.questions, ["x"])
    with pytest.raises(ConfigurationError, match="pass references="):
        llm.evaluate(fakes.questions)


async def test_log_probs_of_no_number_at_all_are_unknown(fakes, ask):
    for odd in ("text", {"content": None}, {"content": [{"token": "x"}]}, {"content": "x"}):

        class Odd(fakes.WholeChat):
            def fields(self, said, words, odd=odd):
                return {"logprobs": odd}

        weak = Odd(model_name="weak", script=fakes.Say("hm", 0.99))
        message = await ask(fakes.cascade(weak), "Hi")
        made = message.response_metadata["cascade"]
        assert made["models_run"] == ["weak", "strong"]
        assert made["decisions"][1]["quality"]["weak"] == 0.5
