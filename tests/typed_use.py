"""What type checkers have to accept of users: the README's first lines, in both adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import langchain_cascade
import llamaindex_cascade
from cascade_engine import Price

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from llama_index.core.llms import LLM


def in_langchain(small: BaseChatModel, large: BaseChatModel) -> list[str]:
    """By position, by either keyword, by name."""
    prices = {"small": Price(0.15, 0.60), "large": Price(2.5, 10)}
    made = [
        langchain_cascade.CascadeRoutingLLM([small, large]),
        langchain_cascade.CascadeRoutingLLM(models=[small, large], max_expected_cost=0.005),
        langchain_cascade.CascadeRoutingLLM(llms=[small, large]),
        langchain_cascade.CascadeRoutingLLM(
            models={"small": small, "large": large}, prices=prices, strategy="routing"
        ),
    ]
    return [str(llm.fit(["1 + 1"], references=["2"]).invoke("1 + 2").text) for llm in made]


def in_llamaindex(small: LLM, large: LLM) -> list[str]:
    """The same."""
    made = [
        llamaindex_cascade.CascadeRoutingLLM([small, large]),
        llamaindex_cascade.CascadeRoutingLLM(llms=[small, large], max_expected_cost=0.005),
        llamaindex_cascade.CascadeRoutingLLM(models=[small, large]),
        llamaindex_cascade.CascadeRoutingLLM(llms={"small": small, "large": large}),
    ]
    return [llm.with_budget(0.01).complete("1 + 2").text for llm in made]
