"""Where only one model may run there is nothing to advise on: nobody else is asked, or paid."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cascade_engine import Answer, CascadeDataset, CascadeRouter, drive
from cascade_engine.routing import ChatJudge, ChatRouter, advise

MODELS = ("small", "large")
JUDGE, ROUTER = ChatJudge("judge"), ChatRouter("router", MODELS)


def reply(call):
    if call.purpose == "judge":
        return Answer("0.7", cost=0.1)
    if call.purpose == "route":
        return Answer(json.dumps({"small": 0.6, "large": 0.9}), cost=0.1)
    return Answer("Ada", cost={"small": 1.0, "large": 10.0}[call.model])


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    right = (rng.random((60, 2)) < (0.5, 0.9)).astype(float)
    answers = [[Answer("Ada"), Answer("Ada")] for _ in right]
    data = CascadeDataset(
        MODELS, [f"question {i}?" for i in range(60)], answers, right, [[1.0, 10.0]] * 60
    )
    said = {
        JUDGE: lambda prompt: Answer("0.7", cost=0.1),
        ROUTER: lambda prompt: Answer(json.dumps({"small": 0.6, "large": 0.9}), cost=0.1),
    }
    data = advise(data, said, progress=False)
    return CascadeRouter(MODELS, advisers=[JUDGE, ROUTER], strategy="cascading").fit(data)


def purposes(session):
    asked = []

    def run(call):
        asked.append((call.model, call.purpose, call.final))
        return reply(call)

    trace = drive(session, run)
    return asked, trace


@pytest.mark.parametrize("model", MODELS)
def test_a_forced_child_is_asked_and_no_one_else(fitted, model):
    asked, trace = purposes(fitted.session("Who?", only=[model]))
    assert asked == [(model, "answer", True)]
    assert trace.advice == ()
    assert trace.total_cost == {"small": 1.0, "large": 10.0}[model]


def test_nor_where_a_cap_leaves_but_one(fitted):
    asked, trace = purposes(fitted.session("Who?", max_cost=2.0))
    assert asked == [("small", "answer", True)]
    assert trace.total_cost == 1.0


def test_where_there_is_a_choice_the_router_is_asked(fitted):
    asked, _ = purposes(fitted.session("Who?", lam=0.0))
    assert [purpose for _, purpose, _ in asked] == ["route", "answer", "judge", "answer"]
    asked, _ = purposes(fitted.session("Who?", only=MODELS, lam=0.0))
    assert asked[0][1] == "route"
