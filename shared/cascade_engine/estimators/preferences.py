"""Quality from pairwise preferences: which of two models' answers somebody liked better."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cascade_engine.errors import ConfigurationError, DataError
from cascade_engine.estimators.base import ExAnteEstimator, check_fitted
from cascade_engine.estimators.features.vectors import UnitVectors
from cascade_engine.estimators.regression.logistic import (
    Logistic,
    expit,
    fit_logistic,
    fold_masks,
    one_thread,
)
from cascade_engine.storage.registry import persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from cascade_engine.core.arrays import FloatArray, IntArray
    from cascade_engine.core.records import Query
    from cascade_engine.data.dataset import CascadeDataset
    from cascade_engine.estimators.features.vectors import Embedder

__all__ = ["Preference", "PreferenceEstimator"]

#: Precision of the prior near a query: strengths over all queries count as about so many wins.
_PRIOR = 1.0
#: Precision of the prior over all queries, which says that all models are equal.
_GLOBAL_PRIOR = 0.01
#: Queries compared with all recorded ones at once, to bound the memory.
_BLOCK = 256
#: Newton's method ends after so many steps, or once none changes a strength by more than this.
_MOST_STEPS, _CONVERGED = 200, 1e-9


@persistent("Preference")
class Preference(NamedTuple):
    """Which of two models' answers to one query was better, if any.

    Attributes:
        query: the query's text.
        winner: name of the model whose answer was better; in a tie, of either.
        loser: name of the other model.
        tie: whether neither answer was better, which counts as half a win for each.
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

    The similarity-weighted Bradley-Terry ranking of Ong et al., 'RouteLLM: Learning to Route LLMs
    with Preference Data' (2024): the strengths of the models on a query are those that best explain
    the wins on similar queries, where a win weighs gamma^(cosine - 1). Unlike theirs, strengths are
    shrunk to those over all queries, so that a few wins near a query do not count for too much.

    A logistic regression for each model, on the data that `fit` gets, turns strengths into
    qualities. Preferences on one of these queries are left out where the query itself is estimated
    for learning or tuning.

    Args:
        preferences: records (query text, winner, loser) or (..., tie), or mappings with these
            names; see `Preference`. Other models than the router's may occur: they help to compare
            the router's.
        embed: list of n texts to n vectors, as LangChain's `embeddings.embed_documents` and
            LlamaIndex's `embed_model.get_text_embedding_batch`. By default a query is the TF-IDF of
            its words.
        gamma: how many times more a win on the same query weighs than one on a query that has
            nothing in common with it; 1 for one ranking of all queries.
        seed: of the text projection where there is no `embed`.

    Raises:
        DataError: no preferences, or one that is not a record of two different models.
        ConfigurationError: gamma is not a finite number of at least 1.

    Attributes:
        models_: names of the models, the columns.
        strengths_: log-strength of each model over all queries, shape (k,); NaN for a model
            without a preference.
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
        self.preferences = tuple(_read_preference(i, r) for i, r in enumerate(preferences))
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
        """Expected quality of each model's answer, shape (n, k); NaN without a preference.

        Raises:
            NotFittedError: before `fit`.
        """
        strengths = self._strengths(queries)
        return _qualities(self._scales, strengths)

    def cross_predict(self, data: CascadeDataset, folds: IntArray) -> FloatArray:
        """As `ExAnteEstimator.cross_predict`; preferences on a row's query are not used for it."""
        quality = np.full(data.quality.shape, np.nan)
        with one_thread():
            strengths = self._rank(data).own_left_out([query.text for query in data.queries])
            for rows in fold_masks(folds):
                if not rows.all():
                    scales = _fit_scales(strengths[~rows], data.quality[~rows])
                    quality[rows] = _qualities(scales, strengths[rows])
        return quality

    def _strengths(self, queries: Sequence[Query]) -> FloatArray:
        check_fitted(self, "models_")
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
    """Strengths of k models near any query.

    Attributes:
        vectors: of texts.
        known: which of the k models there is a preference on, shape (k,).
        overall: strengths over all queries, of these models and then of others that occur.
    """

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
        """Strengths on n queries by the preferences on other texts, shape (n, k)."""
        own = np.array([self._row.get(text, -1) for text in texts])
        return self.strengths(self.vectors.transform(texts), own)

    def strengths(self, vectors: FloatArray, own: IntArray | None = None) -> FloatArray:
        """Strengths less the mean of the models with preferences, (n, k); NaN for the others.

        Args:
            vectors: of the queries, shape (n, d).
            own: number of the recorded text to leave out for each query, -1 for none, shape (n,).
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
    """Wins of one model over another on T texts, to be summed with weights of the texts.

    Wins are kept sorted by pair of models, so that one `reduceat` sums them all.
    """

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
        """Sums of wins by m rows of weights (m, T), shape (m, k, k), the winner's axis first."""
        out = np.zeros((len(weight), self._models**2))
        won = weight[:, self._text] * self._amount
        out[:, self._pairs] = np.add.reduceat(won, self._starts, axis=1)
        return out.reshape(-1, self._models, self._models)


def _fit_scales(strengths: FloatArray, quality: FloatArray) -> list[Logistic | None]:
    """For each model the regression of quality on strength; None where it has no strength."""
    return [
        None if np.isnan(s).any() else fit_logistic(s[:, None], y, rising=True)
        for s, y in zip(strengths.T, quality.T, strict=True)
    ]


def bradley_terry(wins: FloatArray, centre: FloatArray, prior: float) -> FloatArray:
    """Log-strengths s under which model i beats model j with probability expit(s_i - s_j).

    The Bradley-Terry model (Bradley and Terry 1952) with a normal prior: its posterior mode, by
    Newton's method. No step changes a strength by more than 1, for whole steps may run away where
    the wins contradict the prior.

    Args:
        wins: of model i over model j, any weights >= 0, in m problems, shape (m, k, k).
        centre: mean of the prior of the strengths, shape (k,).
        prior: precision of the prior, > 0.

    Returns:
        Shape (m, k).
    """
    strength = np.tile(centre, (len(wins), 1))
    games = wins + wins.transpose(0, 2, 1)
    diagonal = np.arange(wins.shape[1])
    for _ in range(_MOST_STEPS):
        p = expit(strength[:, :, None] - strength[:, None, :])
        gradient = (wins - games * p).sum(axis=2) - prior * (strength - centre)
        curvature = games * p * (1 - p)
        hessian = -curvature
        hessian[:, diagonal, diagonal] += curvature.sum(axis=2) + prior
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        largest = np.abs(step).max(axis=1, keepdims=True, initial=0.0)
        strength += step / np.maximum(largest, 1.0)
        if not (largest > _CONVERGED).any():
            break
    return strength


def _qualities(scales: Sequence[Logistic | None], strengths: FloatArray) -> FloatArray:
    """Qualities of strengths (n, k); NaN where a model has no regression."""
    quality = np.full(strengths.shape, np.nan)
    for i, scale in enumerate(scales):
        if scale is not None:
            quality[:, i] = expit(scale.logit(strengths[:, i : i + 1]))
    return quality


def _read_preference(row: int, record: Any) -> Preference:
    try:
        preference = Preference(**record) if isinstance(record, Mapping) else Preference(*record)
    except TypeError:
        preference = None
    if (
        preference is None
        or isinstance(record, str)
        or not all(isinstance(part, str) for part in preference[:3])
        or not isinstance(preference.tie, bool | np.bool_)
    ):
        raise DataError(
            f"preference {row} must be (query text, winner, loser) or (..., tie), not {record!r}"
        )
    if preference.winner == preference.loser:
        raise DataError(f"preference {row} is of {preference.winner!r} over itself")
    return preference
