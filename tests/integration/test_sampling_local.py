"""A real model is asked again at a temperature above 0, and its drafts are compared with that."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai")
pytest.importorskip("xllamacpp")

from langchain_core.callbacks import get_usage_metadata_callback

from langchain_cascade import CascadeRoutingLLM, Price
from tests.capitals import QUESTIONS, REFERENCES, chat, holds

pytestmark = [pytest.mark.local_models, pytest.mark.slow]


@pytest.fixture
def llm(local_server):
    """Children cut off after 4 tokens or after 12, both at temperature 1."""
    models = {
        name: chat(local_server, tokens, temperature=1.0)
        for name, tokens in (("short", 4), ("long", 12))
    }
    prices = {"short": Price(1, 1), "long": Price(10, 10)}
    yield CascadeRoutingLLM(
        models=models, prices=prices, strategy="cascading", samples={"short": 2}
    )
    for each in models.values():
        each.http_client.close()


def test_a_real_model_says_other_things_when_asked_again_and_pays_for_it(llm, local_server):
    data = llm.collect(QUESTIONS, progress=False).dataset(references=REFERENCES, grade=holds)
    assert all([len(cell) for cell in row] == [2, 0] for row in data.samples)
    said = [
        {row[0].text, *(a.text for a in cells[0])}
        for row, cells in zip(data.answers, data.samples, strict=True)
    ]
    assert max(map(len, said)) > 1  # at temperature 0 it would repeat itself

    llm.fit(data)
    with get_usage_metadata_callback() as counted:
        made = llm.invoke(QUESTIONS[0]).response_metadata["cascade"]
    assert [(a["name"], a["purpose"]) for a in made["advice"]] == [("short", "sample")] * 2
    calls = made["calls"] + made["advice"]
    assert made["total_cost"] == pytest.approx(sum(each["cost"] for each in calls))
    assert all(each["cost"] > 0 for each in calls)
    used = counted.usage_metadata[local_server.model]
    assert used["input_tokens"] == sum(each["input_tokens"] for each in calls)
    assert used["output_tokens"] == sum(each["output_tokens"] for each in calls)
