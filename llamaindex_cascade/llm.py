"""`CascadeRoutingLLM`: several LLMs behind the interface of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llamaindex_cascade._learning import Learning
from llamaindex_cascade._structured import Structured
from llamaindex_cascade._tools import Calling

__all__ = ["CascadeRoutingLLM"]


class CascadeRoutingLLM(Structured, Calling, Learning):
    """An LLM that answers each query with the best quality a budget can buy.

    It holds several LLMs, the children. For each query it decides which to ask, judges the answer
    by its token log-probabilities, its form and whether others agree, and asks another where that
    is worth its cost. Before `fit` it goes by a conservative rule; after it, by calibrated
    estimates and the strategy, at the budget in expectation.

    Instantiate:
        ```python
        from llama_index.llms.openai import OpenAI
        from llamaindex_cascade import CascadeRoutingLLM, Price

        llm = CascadeRoutingLLM(
            llms=[OpenAI("gpt-4.1-mini"), OpenAI("gpt-4.1")],
            prices={"gpt-4.1-mini": Price(0.4, 1.6), "gpt-4.1": Price(2, 8)},
            max_expected_cost=0.005,  # USD per query
        )
        Settings.llm = llm
        ```

    Fit:
        ```python
        llm.fit(questions, references=answers)
        ```

    Record:
        `response.additional_kwargs["cascade"]` says who answered, what was believed, what it cost,
        in plain values. `CascadeDecisionEvent` tells the same to LlamaIndex's instrumentation, in
        the span of the call, and reaches what engines and agents ask.

    Options of a call:
        ```python
        llm.chat(messages, max_expected_cost=0.01)
        with llm.using(model="gpt-4.1"):
            query_engine.query("...")
        ```

        They are `max_expected_cost`, `max_cost`, `lam` (the trade-off itself, once fitted),
        `strategy` (by name), `model` (a child's name) and `signals`. Any other keyword goes to the
        children.

    Streams:
        A rejected draft is never seen. A step that is final whatever it says streams live; any
        other answer is emitted once it has been accepted.

    Tools and forms:
        Tools are offered only to children that can call functions. Where a form is asked for
        (`structured_predict`, `as_structured_llm`) each child gives it in its own way. An answer
        that does not fit, or calls no tool where one is required, counts as failed, and the next
        child is asked.

    Prompts:
        A child's own `system_prompt` is applied by LlamaIndex only in the child's `predict` and its
        like, so under a cascade it belongs to the cascade. Formats (`completion_to_prompt`,
        `messages_to_prompt`) are each child's own, unless the cascade has one.

    Retrieval:
        With `RetrievalSignals` among its postprocessors an engine tells how well it retrieved; see
        there.

    Log-probs and tokens:
        Children of OpenAI's kind are asked for both with each call. Others report them by
        themselves or not at all; unknown is not the same as low. `response.logprobs` is filled.

    Callbacks:
        Children without handlers of their own get the cascade's, so that each call of a child is
        counted once, judges and rejected drafts included.

    Log:
        ```python
        get_dispatcher().add_event_handler(TraceLogHandler("traffic.jsonl"))
        ...
        llm.fit(read_traces("traffic.jsonl"), references)  # asks only who has not answered yet
        drift(llm.router, read_traces("since.jsonl"))  # logged after the fit
        ```

        It hears of each call's end by `CascadeTraceEvent`. In shadow mode the user's answers come
        from one child, and the log has what the cascade would have done.

    Being written down:
        `to_dict` and `from_dict` keep settings and children, without keys; `save` and `load` what
        was learned, without children. Pickles and copies keep both.

    Attributes:
        llms: LLMs by name; a list is named after the models. In the order in which a cascade
            escalates: cheap before dear. The constructor also takes it as `models`.
        prices: price by model, in USD per million tokens.
        cost: what a call costs: "price", from tokens and prices; "seconds", its latency; or a
            callable of the model's name and the `Answer`.
        max_expected_cost: budget per query, met in expectation once fitted; before that no single
            query is expected to cost more. None for the best quality at any cost.
        max_cost: hard cap on any one query: no model runs that is expected to exceed what is left.
        strategy: "fitted_value_iteration", the default, "reservation_index", "cascade_routing",
            "cascading", "routing", "threshold_cascade", "random_mixing", "single_model", or a
            `Strategy`.
        quality_estimator: `CombinedEstimator()` by default.
        cost_estimator: `PoissonCostEstimator()` by default.
        priors: expected quality of each model before any fit, weak to strong.
        seed: of the coin that mixes two policies to meet a budget exactly.
        clamp_budget: whether a budget below the cheapest policy's cost takes that policy and warns,
            once fitted; otherwise it raises.
        judge: an LLM that scores drafts once the cascade is fitted, or a pair
            `(ChatJudge(...), LLM)`. It is priced, and recorded, as "judge". Not the `judge` of
            `fit`, which says what is right.
        llm_router: an LLM that predicts from the query alone who will answer well, or a pair
            `(ChatRouter(...), LLM)`. It is priced, and recorded, as "llm_router".
        samples: how many further answers are asked of which child, by its name: `{"small": 3}`.
            Once fitted, a draft of it is compared with them: one that is sure says the same again.
            They cost what its calls cost, and `fit` collects them. The child must sample: at
            temperature 0, with a fixed seed or with a cache it repeats itself.
        shadow: the child whose answers users get while the cascade plays along for the record: in
            the background, by the child's own answers where it comes to ask for them. Limits are
            for the cascade alone. At most 16 queries are played at a time, and the rest is skipped;
            their cost is in the log and in callbacks, and not in the record. See `join_shadows`.
        signals: what to measure of each query: a function of the `Query` to numbers by name. They
            are in `Query.signals`, for a `QuerySignalEstimator`.

    Raises:
        ConfigurationError: no models, names that are not distinct, a bad budget, an unknown
            strategy, or prices for models that are not there.
    """

    if TYPE_CHECKING:  # else type checkers make one of the fields, and refuse a list of models

        def __init__(self, llms: Any = None, *, models: Any = None, **options: Any) -> None: ...

    @classmethod
    def class_name(cls) -> str:
        """Name of the kind of LLM."""
        return "CascadeRoutingLLM"
