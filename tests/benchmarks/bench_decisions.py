"""CPU time of single decisions and of batches of 1,000, ours and the reference's.

python tests/benchmarks/bench_decisions.py [--reference PATH] [--quick]

The estimates are given, at medium noise, as lists for single decisions and as arrays for batches;
two states are timed: nothing has run, and the cheapest model has answered. Lambda is 300 and 100
per USD: at 300 the dearest model's mean cost (3.3e-3 USD) is one unit of quality, at 100 a third.
The reference decides on the same estimates at the same lambda, with at most five models to a
supermodel; ours has no such limit. Single and batch decisions of ours are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from measuring import cpu_seconds, cpu_seconds_each, parser, seconds, table, times, write
from reference import load_reference, one_decision, reference_at
from simulated import Split, study

from cascade_engine import STRATEGIES
from cascade_engine.estimators import Estimates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reference import Reference

    from cascade_engine import Strategy

RULES = ("reservation_index", "cascade_routing")
LAMBDAS = (300.0, 100.0)
BATCH = 1_000
#: Models, and the decisions of the reference that are timed: beyond 42 it would take minutes each.
SIZES = {3: 200, 5: 200, 11: 40, 20: 10, 42: 2, 60: 0, 100: 0}
QUICK = {3: 50, 5: 50, 11: 10, 20: 2}
STATES = {"first": (), "second": (0,)}


@dataclass(frozen=True)
class State:
    """Queries of which the same models have answered."""

    estimates: Estimates
    run: np.ndarray
    lam: float

    def lists(self) -> list[tuple]:
        """The arguments of `decide_one` for each query, as lists."""
        of = self.estimates
        columns = (of.quality, of.sd, of.cost, self.run, ~self.run)
        return list(zip(*(column.tolist() for column in columns), strict=True))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--models", type=int, nargs="+", default=SIZES, choices=SIZES)
    chosen = options.parse_args()
    found = measure(chosen.reference, quick=chosen.quick, models=chosen.models)
    write(chosen.out, "bench_decisions", found)
    print(report(found))


def measure(
    path: str | None = None, *, quick: bool = False, models: Iterable[int] = tuple(SIZES)
) -> list[dict]:
    """Seconds of a decision, one record for each size, lambda and state."""
    reference = load_reference(path) if path else None
    sizes = QUICK if quick else SIZES
    found = []
    for k, count in ((k, sizes[k]) for k in models if k in sizes):
        _, split = study(k, "medium", 0, test=BATCH)
        for lam in LAMBDAS:
            for name, ran in STATES.items():
                one = {"models": k, "lambda": lam, "state": name}
                one |= {rule: ours(rule, state_of(split, ran, lam)) for rule in RULES}
                if reference and count:
                    one["reference"] = theirs(reference, split, ran, lam, count)
                found.append(one)
                print(one, flush=True)
    return found


def state_of(split: Split, ran: tuple[int, ...], lam: float) -> State:
    """The state in which those columns have answered."""
    seen = split.estimates
    run = np.zeros(seen.before.shape, dtype=bool)
    run[:, ran] = True
    quality = np.where(run, seen.after, seen.before)
    return State(Estimates(quality, np.where(run, 0, seen.sigma), seen.expected_cost), run, lam)


def ours(rule: str, state: State) -> dict[str, float]:
    """Mean seconds of a decision, alone and in a batch; that both agree is checked."""
    strategy: Strategy = STRATEGIES[rule]()
    given = (state.estimates, state.run, ~state.run, np.full(BATCH, state.lam))
    each = state.lists()
    singly = [decide_one(strategy, one, state.lam) for one in each]
    batch = strategy.decide(*given)
    apart = np.flatnonzero(np.array(singly) != batch)
    if len(apart):
        raise AssertionError(f"{rule}: single and batch decisions differ in rows {apart.tolist()}")
    return {
        "single": _one_by_one(strategy, each, state.lam),
        "batch": cpu_seconds_each(lambda: strategy.decide(*given)) / BATCH,
    }


def _one_by_one(strategy: Strategy, each: list[tuple], lam: float) -> float:
    """Seconds of a decision, all queries once: easy and hard ones."""
    decide = strategy.decide_one

    def work() -> None:
        for quality, sd, cost, run, available in each:
            decide(quality, sd, cost, run=run, available=available, lam=lam)

    # Longer for what is quick: a try of few milliseconds says little.
    tries = int(np.clip(0.5 / cpu_seconds(work), 5, 100))
    return cpu_seconds(work, repeats=tries) / len(each)


def decide_one(strategy: Strategy, one: tuple, lam: float) -> int:
    quality, sd, cost, run, available = one
    return strategy.decide_one(quality, sd, cost, run=run, available=available, lam=lam)


def theirs(reference: Reference, split: Split, ran, lam: float, count: int) -> float:
    """Mean seconds of a decision of the reference, estimates given."""
    router = reference_at(reference, split, lam)
    decisions = [one_decision(router, split, row, ran) for row in range(count)]
    decisions[0]()  # it draws its Sobol points once for each size
    return cpu_seconds(lambda: [decide() for decide in decisions]) / count


def report(found: list[dict]) -> str:
    """One table for each lambda."""
    parts = []
    for lam in LAMBDAS:
        for state in STATES:
            here = [one for one in found if (one["lambda"], one["state"]) == (lam, state)]
            words = "nothing has run" if state == "first" else "the cheapest model has answered"
            parts += [f"Lambda {lam:.0f} per USD, {words}:", _table(here)]
    return "\n\n".join(parts)


def _table(found: list[dict]) -> str:
    head = ["models", "reference"]
    head += [f"{rule}, {how}" for rule in RULES for how in ("single", "batch")]
    rows = []
    for one in found:
        slow = one.get("reference")
        cells = [
            f"{seconds(one[rule][how])}" + (f" ({times(slow, one[rule][how])})" if slow else "")
            for rule in RULES
            for how in ("single", "batch")
        ]
        rows.append([one["models"], seconds(slow) or "not run", *cells])
    return table(head, rows)


if __name__ == "__main__":
    main()
