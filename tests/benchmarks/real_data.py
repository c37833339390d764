"""Recorded answers of many models to the same queries, and a way to read them only once.

The recordings lie outside of this repository, in a folder of Parquet files. Models are put in the
order of their mean cost on the training queries. The names of the tasks are no feature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from cascade_engine import Answer, Query, Usage
from cascade_engine.answers import canonical_answer
from cascade_engine.data.dataset import CascadeDataset
from cascade_engine.datasets import load_everyday
from cascade_engine.estimators import Agreement, CombinedEstimator, StructureSignal
from cascade_engine.estimators.base import AnswerSignal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from cascade_engine.answers import CanonicalAnswer

ZELLINGER, MMLU_PRO, EVERYDAY = "zellinger", "mmlu_pro", "everyday"
FILES = {ZELLINGER: "zellinger_logprob9.parquet", MMLU_PRO: "mmlu_pro14.parquet"}
#: Costs per query at which qualities are reported; elsewhere shares of the best model's cost.
COSTS = {ZELLINGER: tuple(c * 1e-4 for c in (1.0, 1.9, 2.8, 3.4, 3.85, 4.4, 5.6, 7.7))}
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
_TRAINED = 2_000
_LEAST_LOGPROB = -20.0


@dataclass(frozen=True)
class Study:
    """One data set, split."""

    name: str
    train: CascadeDataset
    test: CascadeDataset

    def part(self, train: int, test: int, seed: int = 0) -> Study:
        """Some of its queries, at random; all where there are no more."""
        rng = np.random.default_rng(seed)
        some = (rng.permutation(len(self.train))[:train], rng.permutation(len(self.test))[:test])
        return Study(self.name, self.train.take(some[0]), self.test.take(some[1]))

    def costs(self) -> list[float]:
        """Costs per query at which qualities are reported."""
        best = self.test.quality.mean(axis=0).argmax()
        dearest = float(self.test.cost.mean(axis=0)[best])
        return list(COSTS.get(self.name, [share * dearest for share in SHARES]))


def has_data(folder: Path) -> bool:
    """Whether the recordings are there."""
    return all((folder / name).is_file() for name in FILES.values())


def load(name: str, folder: Path, *, resplit: int | None = None) -> Study:
    """A data set by name.

    Args:
        name: of the data set.
        folder: of the recordings.
        resplit: seed of a random split of the same size, in place of the data's own.
    """
    if name == EVERYDAY:
        return Study(name, load_everyday("train"), load_everyday("test"))
    data, is_train = _zellinger(folder) if name == ZELLINGER else _mmlu_pro(folder)
    if resplit is not None:
        is_train = np.random.default_rng(resplit).permutation(is_train)
    order = np.argsort(data.cost[is_train].mean(axis=0), kind="stable")
    data = data.select([data.models[i] for i in order])
    return Study(name, data.take(is_train), data.take(~is_train))


def _zellinger(folder: Path) -> tuple[CascadeDataset, np.ndarray]:
    """Without the mathematics questions, whose recorded costs are of another kind."""
    frame = _frame(folder / FILES[ZELLINGER])
    frame = frame[frame.task != "gsm8k"]
    return _dataset(frame), (frame.split == "train").to_numpy()


def _mmlu_pro(folder: Path) -> tuple[CascadeDataset, np.ndarray]:
    """The queries that all models have answered."""
    frame = _frame(folder / FILES[MMLU_PRO])
    frame = frame[frame[_columns(frame, "quality")].notna().all(axis=1)]
    is_train = np.zeros(len(frame), dtype=bool)
    is_train[np.random.default_rng(0).permutation(len(frame))[:_TRAINED]] = True
    return _dataset(frame), is_train


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd  # only for whoever has the recordings

    return pd.read_parquet(path)


def _columns(frame: pd.DataFrame, of: str) -> list[str]:
    return [column for column in frame.columns if column.startswith(f"{of}|")]


def _dataset(frame: pd.DataFrame) -> CascadeDataset:
    models = [column.split("|")[1] for column in _columns(frame, "quality")]
    answers = [[_answer(row, m) for m in models] for row in frame.to_dict("records")]
    quality, cost = (frame[[f"{of}|{m}" for m in models]] for of in ("quality", "cost"))
    queries = [Query(text) for text in frame["query"]]
    return CascadeDataset(models, queries, answers, quality.to_numpy(float), cost.to_numpy(float))


def _answer(row: dict[str, object], model: str) -> Answer:
    text, sure, sent, wrote = (
        _known(row.get(f"{of}|{model}")) for of in ("answer", "conf", "in_tokens", "out_tokens")
    )
    return Answer(
        "" if text is None else str(text),
        logprobs=None if sure is None else (max(float(sure), _LEAST_LOGPROB),),
        usage=None if wrote is None else Usage(int(sent or 0), int(wrote)),
    )


def _known(value):
    """The value, or None where it is NaN."""
    return None if value != value else value  # noqa: PLR0124  what NaN is known by


def remembering_estimator() -> CombinedEstimator:
    """The default estimator; what it reads off answers is kept for the next fit in this process."""
    new = CombinedEstimator()
    if new.agreement is not None:
        new.agreement = _Remembering(new.agreement.extract)
    new.signals = [
        _Remembered() if type(signal) is StructureSignal else signal for signal in new.signals
    ]
    return new


class _Remembering(Agreement):
    """Agreement that reads no answer and compares no pair twice."""

    def finals(self, queries: Sequence[Query], answers: Sequence[Answer]) -> list[CanonicalAnswer]:
        return [_final(self.extract, q.text, a.text) for q, a in zip(queries, answers, strict=True)]

    def compare(
        self, one: Sequence[CanonicalAnswer], other: Sequence[CanonicalAnswer]
    ) -> np.ndarray:
        return np.array([_alike(a, b) for a, b in zip(one, other, strict=True)])


class _Remembered(AnswerSignal):
    """Structure that is read off no answer twice."""

    def read(self, queries: Sequence[Query], answers: Sequence[Answer]) -> np.ndarray:
        return np.array([_structure(q, a) for q, a in zip(queries, answers, strict=True)])


@cache
def _final(extract, question: str, text: str) -> CanonicalAnswer:
    return canonical_answer(question, text, extract=extract)


#: By identity: `_final` keeps all of them alive, and hashing long texts would take as long.
_ALIKE: dict[tuple[int, int], float] = {}


def _alike(one: CanonicalAnswer, other: CanonicalAnswer) -> float:
    pair = (id(one), id(other))
    if pair not in _ALIKE:
        _ALIKE[pair] = _ALIKE[pair[::-1]] = one.agreement(other)
    return _ALIKE[pair]


@cache
def _structure(query: Query, answer: Answer) -> np.ndarray:
    return StructureSignal().read([query], [answer])[0]
