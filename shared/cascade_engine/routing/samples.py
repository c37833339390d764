"""Samples: further answers of one model to the same query, live and in recorded data."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cascade_engine.answers.text import full_text
from cascade_engine.core.checks import is_whole
from cascade_engine.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from cascade_engine.core.prices import Charge
    from cascade_engine.core.records import Answer, Query
    from cascade_engine.data.dataset import CascadeDataset

__all__ = ["Sampler", "check_samples", "samplers", "take_samples", "without_samples"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A model that is asked again after it has answered, as an adviser on its own answer.

    The cost of its samples is in the `Answer.advice_cost` of that answer, under the model's own
    name, which no adviser has.

    Attributes:
        name: name of the model.
        count: number of samples for each answer.
    """

    name: str
    count: int

    @property
    def purpose(self) -> Literal["sample"]:
        """Purpose of its calls, as in `Call.purpose`."""
        return "sample"

    def prompt_for(self, query: Query, answer: Answer | None) -> None:
        """No prompt: the query itself is asked again."""
        del query, answer

    def signals_of(self, reply: Answer) -> dict[str, float]:
        """No signals: the text of the reply goes into `Answer.samples`."""
        del reply
        return {}

    def due(self, answer: Answer) -> int:
        """How many samples an answer lacks."""
        return max(0, self.count - len(answer.samples))

    def trim(self, answer: Answer) -> Answer:
        """The answer with no more samples than are asked for, which estimators go by."""
        return replace(answer, samples=answer.samples[: self.count])

    def fill(self, answer: Answer, spare: Sequence[Answer], own: float, charge: Charge) -> Answer:
        """A recorded answer with recorded samples, and their cost.

        Args:
            answer: which may have samples; their cost is in its `advice_cost`, or else each counts
                as much as the answer did.
            spare: further answers, to take the samples from that it lacks.
            own: what the answer cost.
            charge: what a further answer cost; where that is unknown, it counts as `own`.
        """
        count, paid = len(answer.samples), answer.advice_cost.get(self.name)
        if count == self.count and paid is not None:
            return answer
        kept, more = min(count, self.count), spare[: self.due(answer)]
        cost = own * kept if paid is None or not count else paid * kept / count
        for sample in more:
            price = charge(self.name, sample)
            cost += own if price is None else price
        return replace(
            self.trim(answer),
            samples=(*answer.samples[:kept], *(full_text(sample) for sample in more)),
            advice_cost={**answer.advice_cost, self.name: cost},
        )


def samplers(samples: Mapping[str, int]) -> tuple[Sampler, ...]:
    """A sampler for each model that is asked again."""
    return tuple(Sampler(model, count) for model, count in samples.items())


def without_samples(state: dict[str, Any], version: int) -> dict[str, Any]:
    """Today's state from one that was saved before there were samples."""
    del version
    return {"samples": {}, **state}


def check_samples(samples: Any, models: Sequence[str]) -> dict[str, int]:
    """The numbers of samples by model, checked, in the order of the models.

    Raises:
        ConfigurationError: `samples` is no mapping, names an unknown model, or has a number that
            is no integer of at least 1.
    """
    counts = {} if samples is None else samples
    if not isinstance(counts, Mapping):
        raise ConfigurationError(
            "samples must be a mapping of models to how many further answers are asked of each, "
            f"{{{models[0]!r}: 3}} say, not {samples!r}"
        )
    unknown = [name for name in counts if name not in models]
    if unknown:
        raise ConfigurationError(
            f"samples are asked of {unknown}, which are not among the models {list(models)}"
        )
    for name, count in counts.items():
        if isinstance(count, bool) or not is_whole(count) or count < 1:
            raise ConfigurationError(
                f"samples of {name!r} must be an integer >= 1, not {count!r}: leave the model out "
                "if it is not to be asked again"
            )
    return {name: int(counts[name]) for name in models if name in counts}


def take_samples(
    data: CascadeDataset, samples: Mapping[str, int], charge: Charge
) -> CascadeDataset:
    """Recorded data as sessions come to see it, with samples in `Answer.samples`.

    Each answer gets the first samples there are: those in `Answer.samples`, then those in
    `CascadeDataset.samples`.

    Args:
        data: the data, which is left as it is.
        samples: how many of which model.
        charge: what a call did cost.

    Returns:
        A copy with samples, and their cost in `Answer.advice_cost`; without `samples` the data
        itself.

    Raises:
        DataError: an answer has fewer samples.
    """
    if not samples:
        return data
    new = copy.copy(data)
    new.answers = [list(row) for row in data.answers]
    for sampler in samplers(samples):
        column = data.models.index(sampler.name)
        short = 0
        for number, row in enumerate(new.answers):
            spare = data.samples[number][column] if data.samples else []
            own = float(data.cost[number, column])
            row[column] = sampler.fill(row[column], spare, own, charge)
            short += sampler.due(row[column]) > 0
        if short:
            raise DataError(
                f"{short} of {len(data)} answers of {sampler.name!r} have fewer than "
                f"{sampler.count} samples, which samples={dict(samples)} asks for: record them by "
                f"collect(..., samples={max(samples.values()) + 1}), which counts the first answer"
            )
    return new
