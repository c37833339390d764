"""Labels by people's feedback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cascade_engine.core.checks import is_number
from cascade_engine.data.labeller import Labeller, Labels, Unlabelled
from cascade_engine.errors import DataError

__all__ = ["Feedback", "FeedbackScores"]

#: Scores by (name of the query, model), or records with "id", "model" and "score".
FeedbackScores: TypeAlias = "Mapping[tuple[str, str], float] | Iterable[Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class Feedback(Labeller):
    """By people's scores: rows of which some model's answer has none are left out."""

    scores: FeedbackScores

    def label(self, table: Unlabelled) -> Labels:
        """Looks every answer up."""
        scores = _scores(self.scores)
        unknown = sorted({str(model) for _, model in scores} - set(table.models))
        if unknown:
            raise DataError(
                f"there is feedback on {unknown}, and the models are {list(table.models)}"
            )
        names = table.names
        rows = [i for i, name in enumerate(names) if all((name, m) in scores for m in table.models)]
        if not rows:
            raise DataError(
                f"no query has feedback on all of {list(table.models)}: it is looked up by (id, "
                f"model), and the first query is known as {names[0][:80]!r}"
            )
        quality = [[scores[names[row], model] for model in table.models] for row in rows]
        return Labels(quality, "feedback", rows=rows)


def _scores(given: FeedbackScores) -> dict[tuple[str, str], float]:
    if isinstance(given, Mapping):
        found: dict[Any, Any] = dict(given)
    else:
        try:
            found = {(each["id"], each["model"]): each["score"] for each in given}
        except (KeyError, TypeError) as error:
            raise DataError(
                'feedback is a mapping of (id, model) to scores, or records with "id", "model" and '
                f'"score": {error}'
            ) from error
    for at, score in found.items():
        if not is_number(score) or not 0 <= score <= 1:
            raise DataError(
                f"the feedback on {at} is {score!r}: it must be a truth value or a number in [0, 1]"
            )
    return {at: float(score) for at, score in found.items()}
