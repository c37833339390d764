"""CPU time of a fit, ours and the reference's, on 1,000 queries at medium noise.

python tests/benchmarks/bench_fit.py [--reference PATH] [--quick]

Ours goes from arrays to the whole cost-quality frontier and the policy of one budget; the
reference's finds the lambda of one budget, halfway between the cheapest and the dearest model's
mean cost. With many models it is timed on fewer queries and scaled: each query costs the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from measuring import cpu_seconds, parser, seconds, table, times, write
from reference import DEPTH, execution, fit_reference, load_reference
from simulated import Split, budgets, study

from cascade_engine import Beliefs, GaussianCombiner, tune

if TYPE_CHECKING:
    from reference import Reference

QUERIES = 1_000
#: Models, and the queries on which the reference is timed.
SIZES = {3: 1_000, 5: 400, 11: 200}
COMBINED = ("reservation_index", "cascade_routing", "cascading", "threshold_cascade")
PLAIN = ("reservation_index", "cascade_routing", "routing")
#: The paper's full search in its RouterBench script: a constant search of so many bisections, and
#: two of hyperopt with so many evaluations each and one to start from.
BISECTIONS, EVALUATIONS, HYPEROPTS = 30, 200, 2
SHORT = 20  # bisections of the constant-lambda search alone, its default
DRAWS = 8
TIMED = "reference, timed on"
TOP = 10_000.0  # the largest lambda that hyperopt draws


def main() -> None:
    options = parser(__doc__).parse_args()
    found = measure(options.reference, quick=options.quick)
    write(options.out, "bench_fit", found)
    print(report(found))


def measure(path: str | None = None, *, quick: bool = False) -> dict[str, dict[str, float]]:
    """CPU seconds by number of models; `quick` times the reference on a tenth of the queries."""
    reference = load_reference(path) if path else None
    found = {}
    for k, queries in SIZES.items():
        _, split = study(k, "medium", 0, test=QUERIES)
        budget = float(budgets(split, 3)[1])
        found[str(k)] = ours(split, budget)
        if reference:
            part = slice(queries // 10 if quick else queries)
            some = Split(split.truth.rows(part), split.estimates.rows(part))
            found[str(k)] |= theirs(reference, some, budget)
        print(k, found[str(k)], flush=True)
    return found


def ours(split: Split, budget: float) -> dict[str, float]:
    """Seconds of our fits, from arrays to the policy."""
    seen, truth = split.estimates, split.truth

    def plain() -> Beliefs:
        return Beliefs(seen.before, seen.after, cost=seen.expected_cost, sd=seen.sigma)

    def combined():
        fitted = GaussianCombiner().fit(seen.before, seen.after, truth.quality)
        return fitted.beliefs(seen.before, seen.after, cost=seen.expected_cost)

    found = {}
    for believe, names in ((combined, COMBINED), (plain, PLAIN)):
        for name in names:

            def work(name=name, believe=believe) -> None:
                tuned = tune(name, believe(), quality=truth.quality, cost=truth.cost)
                tuned.frontier.at(budget)

            once = cpu_seconds(work)
            # Many repeats of what is quick, a few of what takes seconds.
            count = int(np.clip(2 / max(once, 1e-3), 3, 50))
            found[f"{name}, {believe.__name__}"] = cpu_seconds(work, repeats=count)
    return found


def theirs(reference: Reference, split: Split, budget: float) -> dict[str, float]:
    """Seconds of the reference's fits, scaled to `QUERIES`.

    Its full search is extrapolated: the bisections as they were timed here, hyperopt's evaluations
    as executions at the lambdas that it draws first, uniform on [0, 10,000] for each step. Later
    ones are lower and take longer, so this is rather too little.
    """
    scale = QUERIES / len(split)
    counted = _Counter(reference)
    with counted:
        constant = cpu_seconds(lambda: fit_reference(reference, split, budget, iterations=SHORT))
    rng = np.random.default_rng(0)
    steps = min(DEPTH, len(split.truth.names))
    execute = execution(reference, split)
    drawn = [rng.uniform(0, TOP, steps).tolist() for _ in range(DRAWS)]
    evaluation = float(np.mean([cpu_seconds(lambda at=at: execute(at)) for at in drawn]))
    bisections = constant * (counted.calls + BISECTIONS - SHORT) / counted.calls
    full = bisections + HYPEROPTS * (EVALUATIONS + 1) * evaluation
    routing = cpu_seconds(lambda: fit_reference(reference, split, budget, "routing"))
    return {
        "reference, constant lambda": constant * scale,
        "reference, full search": full * scale,
        "reference, routing": routing * scale,
        TIMED: len(split),
        "reference, executions": counted.calls,
    }


class _Counter:
    """Counts the executions of the reference's cascade router while it is entered."""

    def __init__(self, reference: Reference) -> None:
        self.calls = 0
        self._router = reference.cascade_router.CascadeRouter

    def __enter__(self) -> None:
        self._plain = self._router._execute

        def execute(router, *args, **named):
            self.calls += 1
            return self._plain(router, *args, **named)

        self._router._execute = execute

    def __exit__(self, *_: object) -> None:
        self._router._execute = self._plain


def report(found: dict[str, dict[str, float]]) -> str:
    """Seconds, and how many times as fast ours is as the reference's search."""
    names = [name for name in next(iter(found.values())) if not name.startswith("reference")]
    parts = []
    searches = ("reference, constant lambda", "reference, full search", "reference, routing")
    if searches[0] in next(iter(found.values())):
        rows = [
            [k, *(seconds(one[s]) for s in searches), f"{one[TIMED]} queries"]
            for k, one in found.items()
        ]
        head = ["models", "constant lambda", "full search (extrapolated)", "routing", "timed on"]
        parts += ["The reference, scaled to 1,000 queries:", table(head, rows)]
    rows = [[name, *(_cell(name, one) for one in found.values())] for name in names]
    head = ["", *(f"{k} models" for k in found)]
    parts += ["Ours (times the constant search / the full search, or its router):"]
    return "\n\n".join([*parts, table(head, rows)])


def _cell(name: str, one: dict[str, float]) -> str:
    if "reference, routing" not in one:
        return seconds(one[name])
    if name.startswith("routing"):
        return f"{seconds(one[name])} ({times(one['reference, routing'], one[name])})"
    short = times(one["reference, constant lambda"], one[name])
    full = times(one["reference, full search"], one[name])
    return f"{seconds(one[name])} ({short} / {full})"


if __name__ == "__main__":
    main()
