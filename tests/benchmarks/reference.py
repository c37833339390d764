"""Drives the paper's own code, from a checkout that the user names, on our simulated estimates.

Nothing of it is kept in this repository. Only the modules of the strategies are imported: the
package's `__init__` would import torch, transformers and API clients. The estimates are served
through subclasses of its computers, so it decides on the very arrays that our strategies see.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import io
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated import Split

RULES = ("cascade_routing", "cascading", "routing", "threshold")
SAMPLES = 100  # of its E[max]
DEPTH = 5  # most models of a supermodel, in the paper's RouterBench script
DIGITS = 6  # to which it rounds values before it looks for ties
_RUN_VARIANCE = 1e-6  # what its GroundTruthQualityComputer says of models that have run


@dataclass(frozen=True)
class Reference:
    """The modules of the reference in use."""

    statistics: Any
    quality_computer: Any
    cost_computer: Any
    lambda_strategy: Any
    cascade_router: Any
    router: Any
    baseline_cascader: Any


@dataclass(frozen=True)
class Played:
    """What happened to each query: the column that answered and the columns run."""

    chosen: np.ndarray
    ran: np.ndarray

    def cost(self, test: Split) -> np.ndarray:
        """Realised USD of each query."""
        return (test.truth.cost * self.ran).sum(axis=1)

    def quality(self, test: Split) -> np.ndarray:
        """Correctness of each query's answer."""
        return test.truth.quality[np.arange(len(test)), self.chosen]


def load_reference(path: str | Path) -> Reference:
    """Imports the strategies of the checkout at `path` (its folder holds src/selection)."""
    folder = Path(path) / "src" / "selection"
    if not (folder / "cascade_router.py").is_file():
        raise FileNotFoundError(f"no checkout of the reference at {path}: {folder} is missing")
    package = types.ModuleType("selection")
    package.__path__ = [str(folder)]
    sys.modules["selection"] = package
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            name: importlib.import_module(f"selection.{name}")
            for name in Reference.__dataclass_fields__
        }
    importlib.import_module("loguru").logger.disable("selection")
    # It calls float() on arrays of one element, which numpy 2.4 no longer allows. A name in that
    # module's globals comes before the builtin; the checkout itself stays as it is.
    found["statistics"].float = lambda value: builtins.float(np.asarray(value).item())
    return Reference(**found)


def share_points(reference: Reference, points: dict[int, np.ndarray]) -> None:
    """Puts our seeded Sobol points where it caches its own unseeded ones, by dimension."""
    cache = reference.statistics.computed_random_numbers_sobol
    cache.clear()
    cache.update({(size, len(sample)): sample for size, sample in points.items()})


def _computers(reference: Reference, split: Split) -> tuple[Any, Any]:
    """Its two computers, serving the estimates of a split; a question is its row as a string."""
    found = split.estimates
    variance = found.sigma**2

    class Quality(reference.quality_computer.BaseQualityComputer):
        def predict(self, questions, model_answers):
            rows = [int(question) for question in questions]
            ran = [[answer is not None for answer in answers] for answers in model_answers]
            quality = np.where(ran, found.after[rows], found.before[rows])
            return quality, [np.diag(np.where(r, _RUN_VARIANCE, variance)) for r in ran]

    class Cost(reference.cost_computer.BaseCostComputer):
        def predict(self, questions, model_answers):
            return found.expected_cost[[int(question) for question in questions]]

    return Quality(n_samples=SAMPLES), Cost()


def fit_reference(
    reference: Reference,
    train: Split,
    budget: float,
    rule: str = "cascade_routing",
    *,
    iterations: int = 20,
    max_depth: int | None = DEPTH,
) -> Any:
    """One of its strategies, fitted by its constant-lambda search as in its RouterBench script.

    Args:
        reference: from `load_reference`.
        train: queries to fit on.
        budget: expected USD per query.
        rule: one of `RULES`.
        iterations: of the bisection.
        max_depth: most models per query, of cascade routing only (as in its script).
    """
    top = 1 if rule == "threshold" else 10_000
    search = reference.lambda_strategy.ConstantStrategy(top, n_iterations=iterations)
    router = _unfitted(reference, train, rule, budget=budget, search=search, max_depth=max_depth)
    with contextlib.redirect_stdout(io.StringIO()):  # its threshold cascade prints
        router.fit(*_fitting_data(train))
    return router


def reference_at(reference: Reference, split: Split, lam: float) -> Any:
    """Its cascade routing at a given lambda, as `one_decision` takes it: nothing is fitted."""
    router = _unfitted(reference, split, "cascade_routing", budget=0.0, search=None)
    router.lambdas = [lam] * len(split.truth.names)
    router.gamma = 0.0
    return router


def execution(reference: Reference, train: Split) -> Callable[[list[float]], dict[str, float]]:
    """Its cascade routing over all training queries at given lambdas, one a step.

    All its searches spend their time in this.
    """
    router = _unfitted(reference, train, "cascade_routing", budget=0.0, search=None)
    return lambda lambdas: router._execute(lambdas, *_fitting_data(train))


def _unfitted(
    reference: Reference,
    split: Split,
    rule: str,
    *,
    budget: float,
    search: Any,
    max_depth: int | None = DEPTH,
) -> Any:
    quality, cost = _computers(reference, split)
    common = {
        "quality_computer": quality,
        "cost_computer": cost,
        "models": list(split.truth.names),
        "max_expected_cost": budget,
        "strategies": [search],
    }
    if rule == "threshold":
        return reference.baseline_cascader.BaselineCascader(**common)
    if rule == "routing":
        return reference.router.Router(**common, rounding_digits=DIGITS)
    return reference.cascade_router.CascadeRouter(
        **common,
        rounding_digits=DIGITS,
        force_order=False,
        max_depth=None if rule == "cascading" else max_depth,
        cascade=rule == "cascading",
        do_speedup=True,
    )


def _fitting_data(train: Split) -> tuple[Any, ...]:
    """Questions, answers (anything but None), qualities and costs, as its `fit` takes them."""
    answers = [[True] * len(train.truth.names)] * len(train)
    return _questions(train), answers, train.truth.quality, train.truth.cost


def play_reference(router: Any, test: Split, *, seed: int = 0) -> Played:
    """Runs a fitted strategy over a split, a query and a step at a time, as its own study does.

    Args:
        router: from `fit_reference`.
        test: queries to play.
        seed: of the draws with which it mixes its cheap and its dear policy.
    """
    serve(router, test)
    np.random.seed(seed)  # noqa: NPY002  it draws from the global generator
    names = {name: i for i, name in enumerate(router.models)}
    steps = 1 if type(router).__name__ == "Router" else len(names)
    chosen = np.zeros(len(test), dtype=int)
    ran = np.zeros((len(test), len(names)), dtype=bool)
    for row, question in enumerate(_questions(test)):
        answers = [[None] * len(names)]
        for _ in range(steps):
            model = router.predict([question], answers)[0]
            if model is None:
                break
            answers[0][names[model]] = True
        ran[row] = [answer is not None for answer in answers[0]]
        chosen[row] = names[router.select_answer([question], answers)[0]]
    return Played(chosen, ran)


def serve(router: Any, split: Split) -> None:
    """Makes a fitted strategy see another split's estimates."""
    reference = Reference(*(sys.modules[f"selection.{n}"] for n in Reference.__dataclass_fields__))
    router.quality_computer, router.cost_computer = _computers(reference, split)


def one_decision(
    router: Any, split: Split, row: int, ran: tuple[int, ...] = (), *, public: bool = False
) -> Callable[[], int | None]:
    """A function of no arguments that takes one decision, for timing; None means stop.

    Args:
        router: a fitted cascade router or cascade.
        split: queries.
        row: the query.
        ran: columns of the models that have answered.
        public: through its `predict`, which asks the computers for the estimates; otherwise
            `_predict_model` with the estimates given.
    """
    serve(router, split)
    question = str(row)
    answers = [True if i in ran else None for i in range(len(router.models))]
    if public:
        index = {name: i for i, name in enumerate(router.models)} | {None: None}
        return lambda: index[router.predict([question], [answers])[0]]
    quality, variance = router.quality_computer.predict([question], [answers])
    cost = router.cost_computer.predict([question], [answers])
    given = (question, quality[0], variance[0], cost[0], answers, len(ran))
    return lambda: router._predict_model(*given, router.lambdas[len(ran)], cheapest=True)[0]


def _questions(split: Split) -> list[str]:
    return [str(row) for row in range(len(split))]
