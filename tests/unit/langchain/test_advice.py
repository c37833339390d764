"""A chat model as judge, and one as router, in the LangChain adapter."""

from __future__ import annotations

import json

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler

from cascade_engine import CascadeDataset, ConfigurationError, DataError, Price
from cascade_engine.errors import UnknownPriceError
from cascade_engine.evaluation import judge_report
from cascade_engine.routing import ChatJudge, ChatRouter
from langchain_cascade import CascadeRoutingLLM

HARD, EASY = "hard question number 3?", "easy question number 4?"


@pytest.fixture(scope="module")
def make(fakes):
    """The factory of cascades; children whose log-probs say nothing, and advisers that know."""

    def judge(prompt):
        return fakes.Say("0.1" if "\nno\n" in prompt else "0.9")

    def route(prompt):
        return fakes.Say(json.dumps({"weak": 0.2 if "hard" in prompt else 0.9, "strong": 0.9}))

    def weak(question):
        return fakes.Say("no" if question.startswith("hard") else "yes", None)

    def build(**fields):
        scripts = {"weak": weak, "strong": fakes.Say("yes", None), "judge": judge, "route": route}
        chats = {
            name: fakes.StreamChat(model_name=name, script=script)
            for name, script in scripts.items()
        }
        fields = {"judge": chats["judge"], "llm_router": chats["route"], **fields}
        prices = fakes.PRICES | {
            name: Price(0.1, 0.1) for name in ("judge", "llm_router") if fields[name] is not None
        }
        models = {name: chats[name] for name in ("weak", "strong")}
        return CascadeRoutingLLM(
            models=models, **{"prices": prices, "strategy": "cascading", **fields}
        )

    return build


@pytest.fixture(scope="module")
def learned(make, fakes):
    """A cascade that has learned, from what the advisers said too; not to be changed."""
    return make().fit(fakes.questions, fakes.references, progress=False)


def log_of(chat):
    return [line for line in chat.log if line.startswith("asked")]


def test_fitting_asks_the_advisers_and_charges_for_them(make, fakes):
    llm = make()
    llm.fit(fakes.questions, fakes.references, progress=False)
    assert len(log_of(llm.llm_router)) == 30
    assert len(log_of(llm.judge)) == 40  # the same answer to 20 of the questions is judged once
    # The router's call, the weak model's and the judge's: 7 tokens each.
    assert llm.router.frontier_.cost[0] == pytest.approx((0.7 + 7 + 0.7) / 1e6)


async def test_a_draft_is_judged_in_every_way_of_asking(make, learned, fakes, ask):
    llm = make()
    llm._router = learned.router
    tracer, usage = fakes.Tracer(), UsageMetadataCallbackHandler()
    message = await ask(llm, HARD, {"callbacks": [tracer, usage]})
    made = message.response_metadata["cascade"]
    assert message.text == "yes"
    assert made["chosen"] == "strong"
    assert made["models_run"] == ["weak", "strong"]
    assert [(a["name"], a["about"]) for a in made["advice"]] == [
        ("llm_router", None),
        ("judge", "weak"),
    ]
    assert made["advice"][1]["signals"] == {"judge": 0.1}
    assert made["advice"][1]["input_tokens"] == 3
    assert made["total_cost"] == pytest.approx((7 + 70 + 0.7 + 0.7) / 1e6)
    ((_, *children),) = tracer.tree()
    assert children == ["llm_router", "weak", "judge", "strong"]
    used = usage.usage_metadata
    assert {name: each["total_tokens"] for name, each in used.items()} == {
        "route": 7,
        "weak": 7,
        "judge": 7,
        "strong": 7,
    }


async def test_a_good_draft_is_kept(make, learned, ask):
    llm = make()
    llm._router = learned.router
    made = (await ask(llm, EASY)).response_metadata["cascade"]
    assert made["models_run"] == ["weak"]
    assert made["advice"][1]["signals"] == {"judge": 0.9}


@pytest.mark.parametrize("child", ["weak", "strong"])
async def test_where_a_child_has_to_answer_no_one_is_asked_for_advice(make, learned, ask, child):
    llm = make()
    llm._router = learned.router
    made = (await ask(llm, HARD, {"configurable": {"model": child}})).response_metadata["cascade"]
    assert made["models_run"] == [child]
    assert made["advice"] == []
    assert log_of(llm.llm_router) == log_of(llm.judge) == []


def test_advice_is_never_shown(make, learned, fakes):
    llm = make()
    llm._router = learned.router
    tokens = fakes.StreamedTokens()
    chunks = list(llm.stream(HARD, {"callbacks": [tokens]}))
    assert "".join(chunk.text for chunk in chunks) == "yes"
    assert "".join(tokens.seen) == "yes"


def test_an_adviser_gets_its_prompt_and_no_keywords_of_the_call(make, learned, fakes):
    seen = []

    class Watching(fakes.StreamChat):
        def _generate(self, messages, stop=None, run_manager=None, **kwargs):
            seen.append((len(messages), stop, kwargs))
            return super()._generate(messages, stop, run_manager, **kwargs)

    judge = Watching(model_name="judge", script=fakes.Say("0.9"))
    llm = make(judge=judge)
    llm._router = learned.router
    llm.invoke([("system", "Be brief."), ("human", HARD)], stop=["."], tools=[{"name": "add"}])
    assert seen == [(1, None, {})]
    (line,) = log_of(judge)
    assert HARD in line
    assert "Be brief." not in line


async def test_an_adviser_that_fails_does_no_harm(make, learned, fakes, ask):
    down = fakes.Say("", error=ConnectionError("down"))
    chats = {
        name: fakes.StreamChat(model_name=name, script=down) for name in ("judge", "llm_router")
    }
    llm = make(**chats)
    llm._router = learned.router
    made = (await ask(llm, HARD)).response_metadata["cascade"]
    assert made["chosen"]
    assert made["failures"] == []
    assert all("down" in each["error"] for each in made["advice"])


def test_events_tell_of_decisions_and_not_of_advice(make, learned, fakes):
    llm = make()
    llm._router = learned.router
    told = []

    class Events(fakes.Tokens):
        def on_custom_event(self, name, data, **kwargs):
            told.append(data["action"])

    llm.invoke(HARD, {"callbacks": [Events()]})
    assert told == ["weak", "strong", None]


def test_a_data_set_without_scores_is_judged(make, fakes):
    plain = make(judge=None, llm_router=None)
    data = plain.collect(fakes.questions, progress=False).dataset(references=fakes.references)
    assert isinstance(data, CascadeDataset)
    llm = make(llm_router=None)
    llm.fit(data)
    assert len(log_of(llm.judge)) == 40
    assert llm.evaluate(data).queries == 30


async def test_fitting_can_be_asynchronous(make, fakes):
    llm = make()
    await llm.afit(fakes.questions, fakes.references, progress=False)
    assert len(log_of(llm.judge)) == 40
    assert llm.router.is_fitted


def test_an_interrupted_fit_goes_on(make, fakes, tmp_path):
    llm = make()
    options = {"path": tmp_path / "answers.jsonl", "progress": False, "max_concurrency": 1}
    with pytest.raises(DataError, match="'judge' was not asked everything"):
        llm.fit(fakes.questions, fakes.references, max_cost=(30 * 77 + 10) / 1e6, **options)
    asked = len(log_of(llm.judge))
    assert 0 < asked < 40
    llm.fit(fakes.questions, fakes.references, **options)
    assert len(log_of(llm.judge)) == 40
    assert len(log_of(llm.models["weak"])) == 30
    names = {path.name for path in tmp_path.glob("*.jsonl")}
    assert names == {"answers.jsonl", "answers.judge.jsonl", "answers.llm_router.jsonl"}


def test_a_judge_of_ones_own_wording(make, fakes):
    judge = ChatJudge("strict", prompt=lambda query, answer: f"{query.text} {answer.text}?")
    chat = fakes.StreamChat(model_name="judge", script=fakes.Say("0.5"))
    prices = {**fakes.PRICES, "strict": Price(1, 1)}
    llm = make(judge=(judge, chat), llm_router=None, prices=prices)
    llm.fit(fakes.questions, fakes.references, progress=False)
    assert "asked easy question number 4? yes?" in chat.log
    assert llm.invoke(EASY).response_metadata["cascade"]["advice"][0]["name"] == "strict"


def test_bad_advisers_are_refused_before_anyone_is_asked(make, fakes):
    with pytest.raises(ConfigurationError, match=r"judge must be a chat model, or a pair"):
        make(judge="gpt")
    chat = fakes.StreamChat(model_name="x", script=fakes.Say("1"))
    with pytest.raises(ConfigurationError, match=r"judge must be .*ChatJudge"):
        make(judge=(ChatRouter("judge", ["weak"]), chat))
    with pytest.raises(ConfigurationError, match="would name two things"):
        make(judge=(ChatJudge("weak"), chat))
    llm = make(prices=fakes.PRICES)
    with pytest.raises(UnknownPriceError, match=r"\['judge', 'llm_router'\]"):
        llm.fit(fakes.questions, fakes.references)
    assert log_of(llm.models["weak"]) == []


def test_saving_and_loading(make, learned, tmp_path):
    learned.save(tmp_path)
    fresh = make()
    found = CascadeRoutingLLM.load(
        tmp_path, fresh.models, judge=fresh.judge, llm_router=fresh.llm_router
    )
    made = found.invoke(HARD).response_metadata["cascade"]
    assert [each["name"] for each in made["advice"]] == ["llm_router", "judge"]
    assert made["chosen"] == "strong"
    with pytest.raises(ConfigurationError, match="saved with a judge: pass judge="):
        CascadeRoutingLLM.load(tmp_path, fresh.models, llm_router=fresh.llm_router)


def test_another_budget_keeps_the_advisers(make, learned):
    llm = make()
    llm._router = learned.router
    cheap = llm.with_budget(float(learned.router.frontier_.cost[0]))
    made = cheap.invoke(HARD).response_metadata["cascade"]
    assert made["models_run"] == ["weak"]
    assert [each["name"] for each in made["advice"]] == ["llm_router", "judge"]


def test_the_report_reads_what_the_cascade_collected(make, fakes):
    llm = make()
    data = llm.collect(fakes.questions, progress=False).dataset(references=fakes.references)
    with pytest.raises(DataError, match="no answer has a score"):
        judge_report(data, "judge")
    report = judge_report(llm.advise(data, progress=False), "judge", replications=20)
    assert report.models[0].roc_auc.value == 1.0
    assert report.cost == pytest.approx(0.7e-6)
