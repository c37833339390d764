"""What routing buys on real measurements of many models, beside rivals tuned on the same estimates.

python tests/benchmarks/bench_real.py [--data PATH] [--quick]

The recordings are no part of this repository; without them there is nothing to measure. Every
policy, ours or a rival, is tuned on out-of-fold estimates of the training queries and played on the
test queries. A curve joins the points that it has there; intervals are paired bootstraps over the
test queries. Prints tables and writes output/bench_real.json. About a quarter of an hour.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from measuring import parser, write
from real_data import EVERYDAY, MMLU_PRO, ZELLINGER, has_data, load
from real_measures import (
    STRATEGIES,
    Fitted,
    accuracy,
    policies,
    singles,
    small,
    times,
)
from real_report import report

from cascade_engine.estimators.regression.logistic import one_thread

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
SIZES, SEEDS, TESTED = (100, 300, 1_000), 3, 2_500
RESPLITS = (11, 12, 13)
#: Training and test queries of a quick run.
QUICK = (400, 800)


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=DATA, help="folder of the recordings")
    chosen = options.parse_args(arguments)
    found = measure(chosen.data, quick=chosen.quick)
    if found:
        write(chosen.out, "bench_real", found)
    print(report(found))


def measure(folder: Path = DATA, *, quick: bool = False) -> dict[str, dict]:
    """All of it, by data set, two at a time; nothing where there are no recordings."""
    if not has_data(folder):
        return {}
    names = (ZELLINGER, EVERYDAY) if quick else (MMLU_PRO, ZELLINGER, EVERYDAY)
    with ProcessPoolExecutor(max_workers=2) as pool:
        running = {name: pool.submit(_all_of, name, folder, quick=quick) for name in names}
        return {name: done.result() for name, done in reversed(running.items())}


def _all_of(name: str, folder: Path, *, quick: bool) -> dict:
    """What is measured on one data set: what is read off its answers is kept in this process."""
    with one_thread():
        found = _study(name, folder, quick=quick)
        if name == ZELLINGER:
            found["resplits"] = _resplits(folder, quick=quick)
        if name != EVERYDAY:
            found["small"] = _small(name, folder, quick=quick)
    return found


def _study(name: str, folder: Path, *, quick: bool) -> dict:
    study = load(name, folder)
    study = study.part(*QUICK) if quick else study
    spent = {"times": times(study)}
    fitted = Fitted(study)
    _say(name, "fitted")
    parts = {"train, out-of-fold": fitted.train, "test": fitted.test}
    estimates = {part: accuracy(side) for part, side in parts.items()}
    plays = {}
    for strategy in STRATEGIES:
        plays[strategy] = fitted.play(strategy)
        _say(name, strategy)
    plays |= fitted.rivals()
    _say(name, "rivals")
    plays |= fitted.ceilings()
    _say(name, "ceilings")
    return {
        "queries": [len(study.train), len(study.test)],
        "costs": study.costs(),
        "singles": singles(study),
        "estimates": estimates,
        "policies": policies(plays, study),
        **spent,
    }


def _resplits(folder: Path, *, quick: bool) -> list[dict]:
    """One data set split anew, at random: its own split is between easier and harder questions."""
    found = []
    for seed in RESPLITS[:1] if quick else RESPLITS:
        study = load(ZELLINGER, folder, resplit=seed)
        study = study.part(*QUICK) if quick else study
        fitted = Fitted(study)
        plays = {strategy: fitted.play(strategy) for strategy in STRATEGIES} | fitted.rivals()
        plays |= fitted.ceilings()
        found.append(
            {
                "seed": seed,
                "singles": singles(study),
                "costs": study.costs(),
                "estimates": {"test": accuracy(fitted.test)},
                "policies": policies(plays, study),
            }
        )
        _say(ZELLINGER, f"split anew, seed {seed}")
    return found


def _small(name: str, folder: Path, *, quick: bool) -> list[dict]:
    study = load(name, folder)
    sizes, seeds, tested = (SIZES[:2], 1, QUICK[1]) if quick else (SIZES, SEEDS, TESTED)
    found = small(study, sizes, seeds, tested)
    _say(name, "few training queries")
    return found


def _say(name: str, what: str) -> None:
    print(f"{time.process_time():6.0f} CPU-s  {name}: {what}", flush=True)


if __name__ == "__main__":
    main()
