"""How far the emulation and the reference agree when they share their Sobol points.

python tests/benchmarks/agreement.py --reference PATH
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
from emulation import Emulation, fit_emulation, sobol_points
from reference import (
    DEPTH,
    fit_reference,
    load_reference,
    one_decision,
    play_reference,
    share_points,
)
from simulated import budgets, study

if TYPE_CHECKING:
    from reference import Reference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", required=True, help="a checkout of the paper's code")
    reference = load_reference(parser.parse_args().reference)
    for models, test in ((3, 400), (5, 400), (11, 60)):
        for noise in ("low", "medium", "high"):
            print(models, noise, agreement(reference, models, noise, test=test), flush=True)


def agreement(
    reference: Reference, models: int, noise: str, *, seed: int = 100, test: int = 400
) -> dict[str, float]:
    """Shares of equal decisions and of equal runs, and how far realised means are apart.

    Decisions are compared at random sets of models run and at the lambda that the reference found
    for the middle budget on 60 training queries.
    """
    train, held_out = study(models, noise, seed, train=60, test=test)
    points = sobol_points(seed, models)
    share_points(reference, points)
    budget = float(budgets(held_out, 3)[1]) / 2
    router = fit_reference(reference, train, budget)
    fitted = fit_emulation(Emulation(train, points), budget)
    ours = Emulation(held_out, points)

    rng = np.random.default_rng(seed)
    equal = 0
    for row in range(test):
        size = int(rng.integers(min(DEPTH, models)))
        ran = tuple(sorted(rng.choice(models, size, replace=False).tolist()))
        theirs = one_decision(router, held_out, row, ran)()
        chosen = ours.decide(np.array([row]), ran, router.lambdas[0], np.array([False]))[0]
        equal += (-1 if theirs is None else theirs) == chosen

    played, emulated = play_reference(router, held_out), ours.play(fitted.lam, gamma=fitted.gamma)
    same = (played.ran == emulated.ran).all(axis=1) & (played.chosen == emulated.chosen)
    cost, quality = emulated.cost(held_out).mean(), emulated.quality(held_out).mean()
    return {
        "equal decisions": float(equal / test),
        "equal runs": float(same.mean()),
        "lambda, theirs": router.lambdas[0],
        "lambda, ours": fitted.lam,
        "cost apart": float(cost / played.cost(held_out).mean() - 1),
        "quality apart": float(quality - played.quality(held_out).mean()),
    }


if __name__ == "__main__":
    main()
