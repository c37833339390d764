"""What the cascade adds to a call: CPU time of a session, and of both adapters over instant models.

python tests/benchmarks/bench_overhead.py [--quick]

A router of three models with the default estimator and strategy is fitted to the everyday answers,
and every prompt is new to it. The engine's sessions are told recorded answers. The adapters ask
models that answer at once with what was recorded, its log-probabilities and its tokens; the time of
asking the accepted model alone is taken off. Beside them, over the same model: a model that only
hands the call on, and `with_fallbacks`. Each repeat times every way once, in turn; medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import langchain_doubles
import llamaindex_doubles
import numpy as np
from measuring import parser, seconds, table, times, write

from cascade_engine import CascadeRouter, Price
from cascade_engine.answers.question_form import form_of
from cascade_engine.datasets import load_everyday
from cascade_engine.estimators.features.query_text import read, weighed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cascade_engine import Answer, CascadeDataset

#: Lambdas, per USD, at which queries are looked for that take one, two and three answers.
LAMBDAS = (3e5, 1e5, 3e4, 1e4, 3e3, 0.0)
LENGTHS = {"short": 0, "80 KB": 80_000}
PROMPTS, REPEATS = 40, 400
QUICK = (5, 20)
#: Seconds that a session, and a whole call, may add; by length of the prompt.
TARGETS = {"short": 100e-6, "80 KB": 1e-3}

Ask = Callable[[str], object]


@dataclass(frozen=True)
class Case:
    """Prompts that take so many answers at a lambda, each with every model's answer."""

    length: str
    answers: int
    lam: float
    prompts: Mapping[str, Mapping[str, Answer]]


def main() -> None:
    chosen = parser(__doc__).parse_args()
    found = measure(quick=chosen.quick)
    write(chosen.out, "bench_overhead", found)
    print(report(found))


def measure(*, quick: bool = False) -> list[dict]:
    """Median seconds, one record for each way of asking."""
    prompts, repeats = QUICK if quick else (PROMPTS, REPEATS)
    train, test = load_everyday("train"), load_everyday("test")
    router = CascadeRouter(train.models).fit(train)
    found = []
    for length in LENGTHS:
        for answers in (1, 2, 3):
            case = find(router, test, length, answers, prompts)
            if case is not None:
                found += sessions(router, case, repeats)
    for length in LENGTHS:
        case = find(router, test, length, 1, prompts)
        if case is not None:
            for doubles in (langchain_doubles, llamaindex_doubles):
                found += calls(doubles, train, case, repeats)
    return found


def find(
    router: CascadeRouter, data: CascadeDataset, length: str, answers: int, most: int
) -> Case | None:
    """Prompts that take so many answers, the first model first, where lambda has most."""
    best: Case | None = None
    for lam in LAMBDAS:
        taking = (
            (prompt, said)
            for prompt, said in asked_of(data, LENGTHS[length])
            if len(run := played(router, prompt, said, lam)) == answers and run[0] == data.models[0]
        )
        prompts = dict(islice(taking, most))
        if prompts and (best is None or len(prompts) > len(best.prompts)):
            best = Case(length, answers, lam, prompts)
        if len(prompts) == most:
            break
    return best


def asked_of(data: CascadeDataset, length: int) -> Iterator[tuple[str, dict[str, Answer]]]:
    """Each question, behind a document where it is to be long, with the answers to it."""
    document = (" ".join(query.text for query in data.queries) * 9)[:length]
    for query, row in zip(data.queries, data.answers, strict=True):
        yield document + query.text, dict(zip(data.models, row, strict=True))


def played(
    router: CascadeRouter, prompt: str, said: Mapping[str, Answer], lam: float
) -> tuple[str, ...]:
    """A session of the engine, from the prompt to the result; the models that ran."""
    session = router.session(prompt, lam=lam)
    while (call := session.pending) is not None:
        session.answer(said[call.model])
    session.result  # noqa: B018
    return session.trace.models_run


def sessions(router: CascadeRouter, case: Case, repeats: int) -> list[dict]:
    def session(prompt: str) -> None:
        said = case.prompts[prompt]
        running = router.session(prompt, lam=case.lam)
        while (call := running.pending) is not None:
            running.answer(said[call.model])

    took = medians({"session": session}, list(case.prompts), repeats)["session"]
    return [{"of": "engine", "length": case.length, "answers": case.answers, "seconds": took}]


def calls(doubles: Any, train: CascadeDataset, case: Case, repeats: int) -> list[dict]:
    """What the cascade and others add to the accepted model alone, by the kind of call."""
    said = {model: {p: row[model] for p, row in case.prompts.items()} for model in train.models}
    prices = dict.fromkeys(train.models, Price(0.1, 0.1))
    found = []
    for kind, ways in doubles.ways(said, train, prices, case.lam).items():
        check(ways, case.prompts, train.models[0])
        took = medians(ways, list(case.prompts), repeats)
        alone = took.pop("alone")
        found += [
            {
                "of": doubles.NAME,
                "kind": kind,
                "length": case.length,
                "way": way,
                "seconds": whole - alone,
                "alone": alone,
            }
            for way, whole in took.items()
        ]
    return found


def check(ways: Mapping[str, Ask], prompts: Mapping[str, Mapping[str, Answer]], first: str) -> None:
    """That every way comes to the first model's answer: nothing is timed that goes wrong."""
    for prompt, said in prompts.items():
        for way, ask in ways.items():
            if (text := ask(prompt)) != said[first].text:
                raise AssertionError(f"{way} answered {text!r}, not {said[first].text!r}")


def medians(ways: Mapping[str, Ask], prompts: Sequence[str], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each way, all timed in turn on the same prompts."""
    taken = np.empty((repeats, len(ways)))
    for turn in range(repeats):
        prompt = prompts[turn % len(prompts)]
        for column, ask in enumerate(ways.values()):
            forget()
            start = time.process_time()
            ask(prompt)
            taken[turn, column] = time.process_time() - start
    return dict(zip(ways, np.median(taken, axis=0).tolist(), strict=True))


def forget() -> None:
    """Makes a prompt new again."""
    for known in (read, weighed, form_of):
        known.cache_clear()


def report(found: list[dict]) -> str:
    """Two tables: sessions, and what calls add."""
    engine = [one for one in found if one["of"] == "engine"]
    rows = [[one["length"], one["answers"], seconds(one["seconds"])] for one in engine]
    parts = ["A session of the engine:", table(["prompt", "answers", "CPU time"], rows)]
    rows = []
    for one in found:
        if one["of"] != "engine":
            target = seconds(TARGETS[one["length"]]) if one["way"] == "cascade" else ""
            ratio = times(one["alone"] + one["seconds"], one["alone"])
            cells = [one["of"], one["kind"], one["length"], one["way"], seconds(one["alone"])]
            rows.append([*cells, seconds(one["seconds"]), ratio, target])
    head = ["adapter", "call", "prompt", "way", "model alone", "added", "of alone", "target"]
    return "\n\n".join([*parts, "What a call adds, one answer being enough:", table(head, rows)])


if __name__ == "__main__":
    main()
