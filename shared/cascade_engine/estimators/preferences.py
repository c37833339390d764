"""Quality from pairwise preferences: which of two models' answers somebody liked better."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cascade_engine.errors import ConfigurationError, DataError, NotFittedError
from cascade_engine.estimators._bradley_terry import bradley_terry
from cascade_engine.estimators.contracts import ExAnteEstimator
from cascade_engine.estimators.features.vectors import UnitVectors
from cascade_engine.estimators.regression.logistic import Logistic, expit, fit_logistic, one_thread
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators.features.vectors import Embedder

__all__ = ["Preference", "PreferenceEstimator"]

#: Weight of the prior: strengths over all queries are worth about so many wins near a query.
_PRIOR = 1.0
#: The same for strengths over all queries, whose prior says that all models are equal.
_GLOBAL_PRIOR = 0.01
#: Queries compared with all recorded ones at once, to bound the memory.
_BLOCK = 256


@persistent("Preference")
class Preference(NamedTuple):
    """Of two models' answers to one query, one was better, or neither.

    Attributes:
        query: the query's text.
        winner: name of the model whose answer was better; of either, where it is a tie.
        loser: name of the other.
        tie: whether neither was better: half a win for each.
    """

    query: str
    winner: str
    loser: str
    tie: bool = False


@persistent(
    "PreferenceEstimator",
    fields=("preferences", "gamma", "vectors"),
    fitted=("models_", "strengths_", "_ranking", "_scales"),
)
class PreferenceEstimator(ExAnteEstimator):
    """A router learned from pairwise wins, over any queries.

    Similarity-weighted Bradley-Terry ranking, of Ong et al., 'RouteLLM: Learning to Route LLMs with
    Preference Data' (2024): the strengths of the models on a query are those that explain the wins
    on queries like it best, where a win weighs gamma^(cosine - 1). Unlike theirs they are shrunk to
    the strengths over all queries, so that few wins near a query do not make too much of it.

    Strengths become qualities by a logistic regression for each model on the data that `fit` gets.
    What is preferred on a query is left out where that query is used to learn, or to be tuned on.

    Args:
        preferences: records (query text, winner, loser) or (..., tie), or mappings with these
            names; see `Preference`. Models that are not the router's help to compare those that
            are.
        embed: list of n texts to n vectors, as LangChain's `embeddings.embed_documents` and
            LlamaIndex's `embed_model.get_text_embedding_batch`. By default a query is the TF-IDF of
            its words.
        gamma: how much more a win on the same query weighs than one on a query that has nothing in
            common with it; 1 for the same ranking everywhere.
        seed: of the text projection where there is no `embed`.

    Raises:
        DataError: no preferences, or one that is no record of two different models.
        ConfigurationError: gamma is not a finite number of at least 1.

    Attributes:
        models_: names of the models, the columns.
        strengths_: log-strength of each over all queries, shape (k,); NaN for a model on which
            there is no preference.
    """

    models_: tuple[str, ...]
    strengths_: FloatArray

    def __init__(
        self,
        preferences: Sequence[Preference | tuple[str, str, str] | Mapping[str, Any]],
        embed: Callable[[list[str]], Any] | Embedder | None = None,
        *,
        gamma: float = 1000.0,
        seed: int = 0,
    ) -> None:
        if not 1 <= gamma < np.inf:
            raise ConfigurationError(f"gamma must be a finite number of at least 1, not {gamma}")
        self.preferences = tuple(_read(row, record) for row, record in enumerate(preferences))
        if not self.preferences:
            raise DataError("no preferences given: pass records (query, winner, loser)")
        self.gamma = float(gamma)
        self.vectors = UnitVectors(embed, seed=seed)

    def fit(self, data: CascadeDataset) -> Self:
        """Learns how strengths become qualities.

        Raises:
            ConfigurationError: no preference is about one of the data's models.
        """
        with one_thread():
            ranking = self._rank(data)
            strengths = ranking.own_left_out([query.text for query in data.queries])
            self._scales = _fit_scales(strengths, data.quality)
        self._ranking = ranking
        self.strengths_ = ranking.overall[: len(data.models)].copy()
        self.strengths_[~ranking.known] = np.nan
        self.models_ = data.models
        return self

    def predict(self, queries: Sequence[Query]) -> FloatArray:
        """Expected quality of each model's answer, shape (n, k).

        NaN for a model on which there is no preference.

        Raises:
            NotFittedError: before `fit`.
        """
        strengths = self._strengths(queries)
        return _scaled(self._scales, strengths)

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """As `ExAnteEstimator.cross_predict`; no row's own preferences are used for it."""
        out = np.full(data.quality.shape, np.nan)
        with one_thread():
            strengths = self._rank(data).own_left_out([query.text for query in data.queries])
            for fold in np.unique(folds):
                held = folds == fold
                if not held.all():
                    scales = _fit_scales(strengths[~held], data.quality[~held])
                    out[held] = _scaled(scales, strengths[held])
        return out

    def _strengths(self, queries: Sequence[Query]) -> FloatArray:
        if not hasattr(self, "models_"):
            raise NotFittedError("PreferenceEstimator has not been fitted: call fit first")
        return self._ranking.strengths(self._ranking.vectors.transform([q.text for q in queries]))

    def _rank(self, data: CascadeDataset) -> _Ranking:
        texts = [record.query for record in self.preferences]
        vectors = copy.deepcopy(self.vectors).fit([q.text for q in data.queries] + texts)
        return _Ranking(self.preferences, data.models, vectors, self.gamma)


@persistent(
    "PreferenceEstimator.ranking",
    fields=("vectors", "known", "overall", "_gamma", "_row", "_anchors", "_wins"),
)
class _Ranking:
    """Strengths of k models near any query."""

    def __init__(
        self,
        preferences: Sequence[Preference],
        models: Sequence[str],
        vectors: UnitVectors,
        gamma: float,
    ) -> None:
        named = dict.fromkeys(name for p in preferences for name in (p.winner, p.loser))
        column = {name: i for i, name in enumerate(dict.fromkeys([*models, *named]))}
        self.known = np.array([name in named for name in models])
        if not self.known.any():
            raise ConfigurationError(
                f"the preferences are about {list(named)}, and none about {list(models)}"
            )
        self.vectors = vectors
        self._gamma = gamma
        self._row = {text: i for i, text in enumerate(dict.fromkeys(p.query for p in preferences))}
        self._anchors = vectors.transform(list(self._row))
        self._wins = _Wins(preferences, self._row, column)
        everywhere = self._wins.weighted(np.ones((1, len(self._row))))
        self.overall = bradley_terry(everywhere, np.zeros(len(column)), _GLOBAL_PRIOR)[0]

    def own_left_out(self, texts: Sequence[str]) -> FloatArray:
        """Strengths on queries, by the preferences on other texts; (n, k)."""
        own = np.array([self._row.get(text, -1) for text in texts])
        return self.strengths(self.vectors.transform(texts), own)

    def strengths(self, vectors: FloatArray, own: IntArray | None = None) -> FloatArray:
        """Strengths relative to the mean of those known, (n, k), NaN where there are none.

        Args:
            vectors: of the queries, shape (n, d).
            own: number of the recorded text to leave out for each, -1 for none, shape (n,).
        """
        near = np.empty((len(vectors), len(self.overall)))
        for start in range(0, len(vectors), _BLOCK):
            block = slice(start, start + _BLOCK)
            weight = self._gamma ** (vectors[block] @ self._anchors.T - 1)
            if own is not None:
                weight[own[block, None] == np.arange(len(self._anchors))] = 0.0
            near[block] = bradley_terry(self._wins.weighted(weight), self.overall, _PRIOR)
        out = np.where(self.known, near[:, : len(self.known)], np.nan)
        return np.asarray(out - out[:, self.known].mean(axis=1, keepdims=True))


@persistent("PreferenceEstimator.wins", fields=("_models", "_pairs", "_starts", "_text", "_amount"))
class _Wins:
    """Wins of one model over another on T texts, to be summed by weights of the texts."""

    def __init__(
        self, preferences: Sequence[Preference], row: Mapping[str, int], column: Mapping[str, int]
    ) -> None:
        self._models = len(column)
        entries = []
        for p in preferences:
            i, j, amount = column[p.winner], column[p.loser], 0.5 if p.tie else 1.0
            entries.append((i * self._models + j, row[p.query], amount))
            if p.tie:
                entries.append((j * self._models + i, row[p.query], amount))
        pair, text, amounts = (np.array(part) for part in zip(*sorted(entries), strict=True))
        self._pairs, self._starts = np.unique(pair, return_index=True)
        self._text, self._amount = text, amounts

    def weighted(self, weight: FloatArray) -> FloatArray:
        """Sums by m rows of weights (m, T); shape (m, k, k), winners first."""
        out = np.zeros((len(weight), self._models**2))
        won = weight[:, self._text] * self._amount
        out[:, self._pairs] = np.add.reduceat(won, self._starts, axis=1)
        return out.reshape(-1, self._models, self._models)


def _fit_scales(strengths: FloatArray, quality: FloatArray) -> list[Logistic | None]:
    """For each model how its strength becomes quality; None where it has no strength."""
    return [
        None if np.isnan(s).any() else fit_logistic(s[:, None], y, rising=True)
        for s, y in zip(strengths.T, quality.T, strict=True)
    ]


def _scaled(scales: Sequence[Logistic | None], strengths: FloatArray) -> FloatArray:
    out = np.full(strengths.shape, np.nan)
    for i, scale in enumerate(scales):
        if scale is not None:
            out[:, i] = expit(scale.logit(strengths[:, i : i + 1]))
    return out


def _read(row: int, record: Any) -> Preference:
    try:
        found = Preference(**record) if isinstance(record, Mapping) else Preference(*record)
    except TypeError:
        found = None
    if (
        found is None
        or isinstance(record, str)
        or not all(isinstance(part, str) for part in found[:3])
        or not isinstance(found.tie, bool | np.bool_)
    ):
        raise DataError(
            f"preference {row} must be (query text, winner, loser) or (..., tie), not {record!r}"
        )
    if found.winner == found.loser:
        raise DataError(f"preference {row} is of {found.winner!r} over itself")
    return found
