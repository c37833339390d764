"""A real model of half a billion parameters judges the answers of one four times smaller."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai")
pytest.importorskip("xllamacpp")

from langchain_core.callbacks import get_usage_metadata_callback

from cascade_engine.evaluation import judge_report
from cascade_engine.local import LocalServer, WeightsUnavailableError
from cascade_engine.routing import ChatJudge, yes_no_prompt
from langchain_cascade import CascadeRoutingLLM, Price
from tests.capitals import QUESTIONS, REFERENCES, chat, holds

pytestmark = [pytest.mark.local_models, pytest.mark.slow]

PRICES = {"short": Price(1, 1), "long": Price(1, 1), "judge": Price(1, 1)}


@pytest.fixture(scope="module")
def judge_server():
    """Skips where the judge's weights cannot be had."""
    try:
        server = LocalServer("Qwen2.5-Coder-0.5B-Instruct")
    except WeightsUnavailableError as error:
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="module")
def llm(local_server, judge_server):
    """Children cut off after 2 tokens or after 12, and the judge, which says Yes or No."""
    models = {"short": chat(local_server, 2), "long": chat(local_server, 12)}
    judge = chat(judge_server, 1)
    yield CascadeRoutingLLM(
        models=models,
        judge=(ChatJudge("judge", prompt=yes_no_prompt), judge),
        prices=PRICES,
        strategy="cascading",
    )
    for each in (*models.values(), judge):
        each.http_client.close()


def test_a_judge_is_measured_trusted_and_charged(llm, judge_server):
    collected = llm.collect(QUESTIONS, progress=False)
    data = collected.dataset(references=REFERENCES, grade=holds)
    data = llm.advise(data, progress=False)
    scores = [answer.signals["judge"] for row in data.answers for answer in row]
    assert all(0 <= score <= 1 for score in scores)
    assert len(set(scores)) > 5  # probabilities of Yes, and not that word alone
    report = judge_report(data, "judge", replications=50)
    assert report.cost > 0
    assert "Yes" not in str(report)
    assert report.models[-1].judged == 1.0

    llm.fit(data)
    with get_usage_metadata_callback() as counted:
        message = llm.invoke(QUESTIONS[0])
    made = message.response_metadata["cascade"]
    assert made["advice"][0]["name"] == "judge"
    assert made["advice"][0]["signals"]["judge"] == pytest.approx(
        data.answers[0][0].signals["judge"], abs=0.05
    )
    paid = [each["cost"] for each in made["calls"] + made["advice"]]
    assert made["total_cost"] == pytest.approx(sum(paid))
    used = counted.usage_metadata[judge_server.model]
    assert used["input_tokens"] == sum(each["input_tokens"] for each in made["advice"])
    assert used["output_tokens"] == sum(each["output_tokens"] for each in made["advice"])
