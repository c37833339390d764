"""Further answers of a model that has answered: who is asked for them, and in recorded data."""

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

__all__ = ["Sampler", "check_samples", "sampled", "samplers", "unsampled"]


@dataclass(frozen=True, slots=True)
class Sampler:
    """A model that is asked again after it has answered, as an adviser on its own answer.

    What it costs is in the `Answer.advice_cost` of that answer, under the model's own name, which
    no adviser has.

    Attributes:
        name: of the model.
        count: how many further answers are wanted.
    """

    name: str
    count: int

    @property
    def purpose(self) -> Literal["sample"]:
        """What its calls are for."""
        return "sample"

    def ask(self, query: Query, answer: Answer) -> None:
        """What it is to be asked in place of the query: nothing, the query itself."""
        del query, answer

    def heard(self, reply: Answer) -> dict[str, float]:
        """The signals of a reply: none, for its text is in `Answer.samples`."""
        del reply
        return {}

    def due(self, answer: Answer) -> int:
        """How many further answers an answer lacks."""
        return max(0, self.count - len(answer.samples))

    def seen(self, answer: Answer) -> Answer:
        """An answer with no more samples than are asked for: what estimates go by."""
        return replace(answer, samples=answer.samples[: self.count])

    def filled(self, answer: Answer, spare: Sequence[Answer], own: float, charge: Charge) -> Answer:
        """A recorded answer with recorded samples, and what they cost.

        Args:
            answer: which may have samples; their cost is in its `advice_cost`, or else each is
                taken to have cost as much as the answer.
            spare: further answers, of which it gets what it lacks.
            own: what the answer cost.
            charge: what a further one cost; where that is unknown, as much as the answer.
        """
        had, paid = len(answer.samples), answer.advice_cost.get(self.name)
        if had == self.count and paid is not None:
            return answer
        kept, more = min(had, self.count), spare[: self.due(answer)]
        cost = own * kept if paid is None or not had else paid * kept / had
        for one in more:
            asked = charge(self.name, one)
            cost += own if asked is None else asked
        return replace(
            self.seen(answer),
            samples=(*answer.samples[:kept], *(full_text(one) for one in more)),
            advice_cost={**answer.advice_cost, self.name: cost},
        )


def samplers(samples: Mapping[str, int]) -> tuple[Sampler, ...]:
    """Who is asked again, and how often."""
    return tuple(Sampler(model, count) for model, count in samples.items())


def unsampled(state: dict[str, Any], version: int) -> dict[str, Any]:
    """What was saved before there were samples, as today's state."""
    del version
    return {"samples": {}, **state}


def check_samples(samples: Any, models: Sequence[str]) -> dict[str, int]:
    """How many further answers are asked of which model, in the order of the models.

    Raises:
        ConfigurationError: it is no mapping, names a model that is not there, or a number is no
            integer of at least 1.
    """
    given = {} if samples is None else samples
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            "samples must be a mapping of models to how many further answers are asked of each, "
            f"{{{models[0]!r}: 3}} say, not {samples!r}"
        )
    unknown = [name for name in given if name not in models]
    if unknown:
        raise ConfigurationError(
            f"samples are asked of {unknown}, which are not among the models {list(models)}"
        )
    for name, count in given.items():
        if isinstance(count, bool) or not is_whole(count) or count < 1:
            raise ConfigurationError(
                f"samples of {name!r} must be an integer >= 1, not {count!r}: leave the model out "
                "if it is not to be asked again"
            )
    return {name: int(given[name]) for name in models if name in given}


def sampled(data: CascadeDataset, samples: Mapping[str, int], charge: Charge) -> CascadeDataset:
    """Recorded data as sessions come to see it, its samples in `Answer.samples`.

    Of each model the first samples are taken: those in `Answer.samples`, then those in
    `CascadeDataset.samples`.

    Args:
        data: the data, which is left as it is.
        samples: how many of which model.
        charge: what a call costs.

    Returns:
        A copy with samples, and in `Answer.advice_cost` what they cost; where none are wanted the
        data itself.

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
            row[column] = sampler.filled(row[column], spare, own, charge)
            short += sampler.due(row[column]) > 0
        if short:
            raise DataError(
                f"{short} of {len(data)} answers of {sampler.name!r} have fewer than "
                f"{sampler.count} samples, which samples={dict(samples)} asks for: record them by "
                f"collect(..., samples={max(samples.values()) + 1}), which counts the first answer"
            )
    return new
