"""Area under the cost-quality curve in the paper's nine settings, beside the reference.

python tests/benchmarks/bench_quality.py [--seeds N] [--models 3 5] [--quick]

Protocol as in `reference_runs.py`: 200 training and 2,000 test queries, ten budgets from the
cheapest to the dearest model's mean cost. Ours stands against the runs of the paper's own code in
`reference_runs.json`, and on twenty seeds against `emulation.py`, which repeats its decisions.
Both sides see the same estimates and queries. The rule that shrinks the combiner's correlation was
chosen on seeds 100 to 109, none of which is used here.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import numpy as np
from bootstrap import Singles, areas, draws, interval
from emulation import emulated_curve
from measuring import parser, table, write
from reference_runs import load_runs
from simulated import NOISE, SUBSETS, Split, budgets, study

from cascade_engine import BudgetWarning, GaussianCombiner, simulate, tune

if TYPE_CHECKING:
    from reference import Played
    from reference_runs import Run

STRATEGIES = (
    "reservation_index",
    "cascade_routing",
    "cascading",
    "routing",
    "threshold_cascade",
    "random_mixing",
)
COMPARED = STRATEGIES[:2]
EMULATED = "reference, emulated"
MODELS = (*SUBSETS, 11)
REPLICATIONS = 1_000

Curve = tuple[np.ndarray, np.ndarray]  # cost and quality of each query, both (budgets, n)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, help="how many, 20 by default")
    options.add_argument("--models", type=int, nargs="+", default=MODELS, choices=MODELS)
    chosen = options.parse_args()
    found = measure(chosen.models, chosen.seeds or (2 if chosen.quick else 20))
    write(chosen.out, "bench_quality", found)
    print(report(found))


def measure(models: tuple[int, ...] = MODELS, seeds: int = 20) -> dict[str, dict]:
    """All settings, by name such as 3/low."""
    runs = load_runs()
    found = {}
    for k in models:
        for noise in NOISE:
            found[f"{k}/{noise}"] = setting(k, noise, seeds, runs)
            differences = json.dumps(found[f"{k}/{noise}"]["differences"])
            print(k, noise, differences, flush=True)
    return found


def setting(models: int, noise: str, seeds: int, runs: dict[str, Run]) -> dict:
    """Areas and their differences in one setting.

    Returns:
        `areas`: of each method, by seed. `differences`: ours - the reference's cascade routing,
        emulated and its own code's, with the 95% interval and the number of seeds.
    """
    rng = np.random.default_rng([models, sorted(NOISE).index(noise)])
    exact: dict[str, dict[int, float]] = {}
    drawn: dict[str, dict[int, np.ndarray]] = {}
    for seed in range(seeds):
        train, test = study(models, noise, seed)
        curves = ours(train, test)
        curves[EMULATED] = as_curve(emulated_curve(models, noise, seed).played, test)
        for name, run in runs.items():
            rule, *where = name.split("/")
            if where == [str(models), noise, str(seed)]:
                curves[_own(rule)] = as_curve(run.played, test)
        weights = draws(rng, len(test), REPLICATIONS)
        for name, curve in curves.items():
            exact.setdefault(name, {})[seed] = float(replicate(curve, test, None)[0])
            drawn.setdefault(name, {})[seed] = replicate(curve, test, weights)
    return {
        "areas": exact,
        "differences": {
            f"{name} - {other}": difference(rng, name, other, exact, drawn)
            for other in (EMULATED, _own("cascade_routing"))
            for name in COMPARED
            if other in exact
        },
    }


def ours(train: Split, test: Split) -> dict[str, Curve]:
    """Every strategy of ours at each budget, on combined beliefs."""
    seen, new = train.estimates, test.estimates
    combiner = GaussianCombiner().fit(seen.before, seen.after, train.truth.quality)
    fitting = combiner.beliefs(seen.before, seen.after, cost=seen.expected_cost)
    playing = combiner.beliefs(new.before, new.after, cost=new.expected_cost)
    truth = {"quality": test.truth.quality, "cost": test.truth.cost}
    found = {}
    for name in STRATEGIES:
        tuned = tune(name, fitting, quality=train.truth.quality, cost=train.truth.cost)
        with warnings.catch_warnings():
            # Like the reference, the cheapest policy serves budgets below its cost.
            warnings.simplefilter("ignore", BudgetWarning)
            policies = [tuned.frontier.at(float(b), clamp=True) for b in budgets(test)]
        played = [
            simulate(tuned.strategy, playing, policy, seed=i, **truth)
            for i, policy in enumerate(policies)
        ]
        found[name] = np.array([p.cost for p in played]), np.array([p.quality for p in played])
    return found


def as_curve(played: list[Played], test: Split) -> Curve:
    """What the reference ran for each budget, as costs and qualities."""
    return np.array([p.cost(test) for p in played]), np.array([p.quality(test) for p in played])


def replicate(curve: Curve, test: Split, weights: np.ndarray | None) -> np.ndarray:
    """The curve's area with the queries weighted; None for all alike."""
    if weights is None:
        weights = np.full((1, len(test)), 1 / len(test))
    singles = Singles(weights @ test.truth.cost, weights @ test.truth.quality)
    return areas(weights @ curve[0].T, weights @ curve[1].T, singles)


def difference(rng, name: str, other: str, exact: dict, drawn: dict) -> dict[str, float]:
    """Mean difference x 100 over the seeds that both have, with its 95% interval."""
    seeds = sorted(exact[other])
    apart = [exact[name][seed] - exact[other][seed] for seed in seeds]
    spread = np.array([drawn[name][seed] - drawn[other][seed] for seed in seeds])
    low, high = interval(rng, 100 * spread)
    mean = 100 * float(np.mean(apart))
    return {"mean": mean, "low": low, "high": high, "seeds": len(seeds)}


def _own(rule: str) -> str:
    """Name of a rule of the paper's code, run by itself."""
    return f"reference, {rule}"


def report(found: dict[str, dict]) -> str:
    """Tables of the areas and of the differences, and in how many settings ours is above."""
    names = (*STRATEGIES, EMULATED)
    rows = [
        [cell.replace("/", " models, "), *(f"{_mean(one['areas'][n]):.1f}" for n in names)]
        for cell, one in found.items()
    ]
    parts = ["AUC x 100, mean over the seeds:", table(["", *names], rows)]
    for other in (EMULATED, _own("cascade_routing")):
        parts += [f"Difference of AUC x 100, ours - {other}:", _differences(found, other)]
    return "\n\n".join([*parts, _agreement(found)])


def _agreement(found: dict[str, dict]) -> str:
    """How far the emulation's areas are from those of the paper's own code, where both are."""
    own = _own("cascade_routing")
    apart = [
        abs(area - one["areas"][EMULATED][seed])
        for one in found.values()
        for seed, area in one["areas"].get(own, {}).items()
    ]
    if not apart:
        return "None of the settings has a stored run of the paper's own code."
    return (
        f"On the {len(apart)} curves that the paper's own code has played, the emulation's AUC "
        f"x 100 is at most {100 * max(apart):.4f} away."
    )


def _mean(by_seed: dict) -> float:
    return 100 * float(np.mean(list(by_seed.values())))


def _differences(found: dict[str, dict], other: str) -> str:
    rows, clear = [], dict.fromkeys(COMPARED, 0)
    for cell, one in found.items():
        every = [one["differences"].get(f"{name} - {other}") for name in COMPARED]
        if None in every:
            continue
        cells = [f"{d['mean']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f})" for d in every]
        rows.append([cell.replace("/", " models, "), *cells, every[0]["seeds"]])
        for name, d in zip(COMPARED, every, strict=True):
            clear[name] += d["low"] > 0
    head = ["", *(f"{name} (95% interval)" for name in COMPARED), "seeds"]
    counts = ", ".join(f"{name} in {count}" for name, count in clear.items())
    return f"{table(head, rows)}\n\nThe interval is above zero for {counts} of {len(rows)}."


if __name__ == "__main__":
    main()
