"""The main job on real models: fit on recorded answers, answer live, measure on held-out data.

Run as `python -m langchain_cascade.demo [--models 2|3] [--questions 20] [--budget USD]`, or by
`make demo`. It needs the extras `langchain`, `local` and `plots`, and `langchain-openai`.
"""

from __future__ import annotations

import argparse
import random
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from pydantic import SecretStr

from cascade_engine import CascadeDataset, evaluate
from cascade_engine.datasets import grade_everyday, load_everyday, local_price
from cascade_engine.local import MODELS, LocalServer, WeightsUnavailableError
from langchain_cascade import CascadeRoutingLLM
from langchain_cascade._callbacks import DECISION
from langchain_cascade.replay import ReplayChatModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import BaseChatModel

    from cascade_engine import CascadeRouter

_BASELINES = ("random_mixing", "threshold_cascade", "routing", "cascading")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the demo."""
    options = _parser().parse_args(arguments)
    names = list(MODELS)[: options.models]
    train, test = (load_everyday(split, models=names) for split in ("train", "test"))
    budget = options.budget or float(train.cost.mean(axis=0)[[0, -1]].mean())
    with ExitStack() as stack:
        cascade = CascadeRoutingLLM(
            models=_children(names, test, stack),
            prices={name: local_price(MODELS[name].parameters) for name in names},
            max_expected_cost=budget,
        )
        _fit(cascade, train, budget)
        _answer_live(cascade, test, options.questions)
    _measure(cascade.router, test, options.out)


def _children(names: list[str], test: CascadeDataset, stack: ExitStack) -> dict[str, BaseChatModel]:
    """Real models behind real clients; where weights cannot be had, their recorded answers."""
    try:
        return {name: _served(stack.enter_context(LocalServer(name))) for name in names}
    except WeightsUnavailableError as error:
        reason = str(error).splitlines()[0].rstrip(":")
        print(f"No weights here ({reason}): the recorded answers are replayed instead.")
        return {name: ReplayChatModel(data=test, model=name) for name in names}


def _served(server: LocalServer) -> BaseChatModel:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415  not needed for a replay

    print(f"{server.model} is being served at {server.base_url}")
    return ChatOpenAI(
        model=server.model,
        base_url=server.base_url,
        api_key=SecretStr("local"),
        temperature=0,
        max_completion_tokens=64,
        logprobs=True,
    )


def _fit(cascade: CascadeRoutingLLM, train: CascadeDataset, budget: float) -> None:
    start = time.perf_counter()
    cascade.fit(train)
    policy = cascade.router.policy_
    print(
        f"\nFitted on {len(train)} recorded questions in {time.perf_counter() - start:.1f} s: at a "
        f"budget of {budget:.3g} USD per query expect an accuracy of {policy.quality:.3f}."
    )


def _answer_live(cascade: CascadeRoutingLLM, test: CascadeDataset, count: int) -> None:
    print(f"\n{count} held-out questions, live:\n")
    rows = random.Random(0).sample(range(len(test)), min(count, len(test)))  # noqa: S311
    spent = right = 0.0
    for row in rows:
        question = test.queries[row].text
        print("Q ", textwrap.shorten(question, 110))
        message = cascade.invoke(question, config={"callbacks": [_Narrator()]})
        record = message.response_metadata["cascade"]
        spent += record["total_cost"]
        answer = textwrap.shorten(str(message.text), 80)
        grade = grade_everyday(question, str(message.text))
        right += grade
        print(
            f"A  {answer!r} from {record['chosen']}, {record['total_cost']:.2g} USD: "
            f"{'right' if grade == 1 else 'wrong'}\n"
        )
    print(
        f"{len(rows)} answers, {right:.0f} of them right, for {spent:.3g} USD: "
        f"{spent / len(rows):.3g} each."
    )


class _Narrator(BaseCallbackHandler):
    """Prints each decision as it is made."""

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:  # noqa: ARG002
        if name == DECISION:
            print("    ", data["reason"])


def _measure(router: CascadeRouter, test: CascadeDataset, out: Path) -> None:
    routers = {name: router.with_strategy(name) for name in _BASELINES}
    evaluation = evaluate({**routers, router.strategy.name: router}, test)
    print(
        f"\nOn all {len(test)} held-out questions, at the same budget "
        f"(quality is accuracy, +/- one standard error, cost in USD; who answered what):\n"
    )
    print(evaluation.table())
    out.mkdir(parents=True, exist_ok=True)
    picture = out / "cost_quality.png"
    evaluation.plot(picture)
    print(f"\nThe cost-quality curves are in {picture}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m langchain_cascade.demo", description=__doc__)
    parser.add_argument("--models", type=int, choices=(2, 3), default=2, help="how many children")
    parser.add_argument("--questions", type=int, default=20, help="how many to answer live")
    parser.add_argument("--budget", type=float, help="expected USD per query")
    parser.add_argument("--out", type=Path, default=Path("output"), help="where the picture goes")
    return parser


if __name__ == "__main__":
    main()
