"""What the strategies buy on the recorded everyday questions, and how long they take.

Fitted on the training split, measured on the test split, at the budget halfway between the mean
costs of the cheapest and the dearest model. Prints tables and writes output/bench_everyday.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from measuring import machine

from cascade_engine import CascadeRouter, evaluate
from cascade_engine.datasets import load_everyday

STRATEGIES = (
    "random_mixing",
    "threshold_cascade",
    "routing",
    "cascading",
    "cascade_routing",
    "reservation_index",
    "fitted_value_iteration",
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("output"))
    out = parser.parse_args(arguments).out
    everything = load_everyday("train").models
    pools = [everything[:2], everything[1:], everything]
    found = [measure(pool) for pool in pools]
    out.mkdir(parents=True, exist_ok=True)
    file = out / "bench_everyday.json"
    file.write_text(json.dumps({"machine": machine(), "pools": found}, indent=1) + "\n")
    print(f"\n{file}")


def measure(pool):
    train, test = (load_everyday(split, models=pool) for split in ("train", "test"))
    budget = float(train.cost.mean(axis=0)[[0, -1]].mean())
    start = time.process_time()
    router = CascadeRouter(pool, budget=budget).fit(train)
    fit_seconds = time.process_time() - start
    routers = {name: router.with_strategy(name) for name in STRATEGIES}
    evaluation = evaluate(routers, test)
    print(f"\n{' + '.join(pool)}\n{evaluation.table()}")
    decision = decision_seconds(router, test)
    print(f"fit {fit_seconds:.2f} CPU-s, a session to its end {decision * 1e6:.0f} us CPU")
    return {
        "budget": budget,
        "fit_cpu_seconds": fit_seconds,
        "session_cpu_seconds": decision,
        "area": {name: evaluation.auc(name).value for name in evaluation.curves},
        **evaluation.to_dict(),
    }


def decision_seconds(router, test) -> float:
    """CPU seconds of a whole session, the models' own time left out."""
    start = time.process_time()
    for query, answers in zip(test.queries, test.answers, strict=True):
        session = router.session(query)
        while (call := session.pending) is not None:
            session.answer(answers[test.models.index(call.model)])
    return (time.process_time() - start) / len(test)


if __name__ == "__main__":
    main()
