"""How far the realised mean cost is from the budget, on queries that the fit has not seen.

python tests/benchmarks/bench_budget.py [--seeds N] [--models 3 5] [--quick]

Fitted on 1,000 queries, played on 10,000 others, with budgets at 20, 40, 60 and 80% of the way from
the cheapest to the dearest model's mean cost. Where a strategy has no use for a whole budget, its
frontier promises a smaller cost, and what was realised is held against that.
"""

from __future__ import annotations

import numpy as np
from measuring import parser, table, write
from simulated import NOISE, study

from cascade_engine import GaussianCombiner, simulate, tune

TRAIN, TEST = 1_000, 10_000
SHARES = (0.2, 0.4, 0.6, 0.8)
STRATEGIES = {
    3: ("reservation_index", "cascade_routing", "routing"),
    5: ("reservation_index", "cascade_routing", "routing"),
    11: ("reservation_index", "routing"),
}


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, help="how many, 20 by default")
    options.add_argument("--models", type=int, nargs="+", default=STRATEGIES, choices=STRATEGIES)
    chosen = options.parse_args()
    found = measure(chosen.models, chosen.seeds or (3 if chosen.quick else 20))
    write(chosen.out, "bench_budget", found)
    print(report(found))


def measure(models=tuple(STRATEGIES), seeds: int = 20) -> dict[str, dict]:
    """Realised over promised cost - 1, and promised cost over the budget.

    The arrays are (seeds, budgets), by setting and strategy such as 3/low/routing.
    """
    found = {}
    for k in models:
        for noise in NOISE:
            played = [play(k, noise, seed) for seed in range(seeds)]
            for name in STRATEGIES[k]:
                apart = [one[name] for one in played]
                found[f"{k}/{noise}/{name}"] = {
                    "realised": [[realised for realised, _ in one] for one in apart],
                    "used": [[used for _, used in one] for one in apart],
                }
            print(k, noise, "done", flush=True)
    return found


def play(models: int, noise: str, seed: int) -> dict[str, list[tuple[float, float]]]:
    """Of each strategy and budget: realised over promised - 1, promised over budget."""
    train, test = study(models, noise, seed, train=TRAIN, test=TEST)
    seen, new = train.estimates, test.estimates
    combiner = GaussianCombiner().fit(seen.before, seen.after, train.truth.quality)
    fitting = combiner.beliefs(seen.before, seen.after, cost=seen.expected_cost)
    playing = combiner.beliefs(new.before, new.after, cost=new.expected_cost)
    ends = train.truth.cost.mean(axis=0)
    budgets = ends.min() + np.array(SHARES) * (ends.max() - ends.min())
    found = {}
    for name in STRATEGIES[models]:
        tuned = tune(name, fitting, quality=train.truth.quality, cost=train.truth.cost)
        found[name] = []
        for budget in budgets.tolist():
            policy = tuned.frontier.at(budget)
            outcome = simulate(
                tuned.strategy, playing, policy, quality=test.truth.quality, cost=test.truth.cost
            )
            found[name].append((outcome.mean_cost / policy.cost - 1, policy.cost / budget))
    return found


def report(found: dict[str, dict]) -> str:
    """Median and 5 to 95% over the seeds, in percent."""
    rows = []
    for where, one in found.items():
        k, noise, name = where.split("/")
        apart = 100 * np.array(one["realised"])
        low, middle, high = np.quantile(apart, [0.05, 0.5, 0.95], axis=0)
        cells = [
            f"{m:+.1f} ({a:+.1f} to {b:+.1f})" for m, a, b in zip(middle, low, high, strict=True)
        ]
        whole = float(np.mean(np.array(one["used"]) > 1 - 1e-6))
        rows.append([f"{k}, {noise}", name, *cells, f"{100 * whole:.0f}%"])
    head = ["models, noise", "strategy", *(f"{100 * share:.0f}%" for share in SHARES), "used whole"]
    return f"Realised cost over budget - 1, in percent:\n\n{table(head, rows)}"


if __name__ == "__main__":
    main()
