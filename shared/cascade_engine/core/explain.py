"""The record of one query in plain words."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

from cascade_engine.core.trace import Trace
from cascade_engine.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade_engine.core.trace import Decision, Failure

__all__ = ["explain"]

#: Relative difference of two costs below which they count as the same.
_SMALL = 0.005
_LONGEST_ERROR = 160  # characters


class HoldsTrace(Protocol):
    """A record with a trace in it, such as the `LoggedTrace`s that `read_traces` returns."""

    @property
    def trace(self) -> Trace: ...


def explain(trace: Trace | HoldsTrace) -> str:
    """Says in short sentences what happened to one query, and why.

    The text has the estimates before any answer; what ran, and what each answer or failure changed;
    why the session stopped; and what it cost, next to the dearest model alone where that is known.
    Neither the question nor the answers are quoted.

    Args:
        trace: the trace of a session, finished or not, or a `LoggedTrace` from `read_traces`. The
            messages that a cascade returns hold no trace: `TraceLogHandler` logs traces.

    Returns:
        One line for each step.

    Raises:
        DataError: it is no trace.
    """
    trace = getattr(trace, "trace", trace)
    if not isinstance(trace, Trace):
        raise DataError(
            f"explain takes a Trace, or what read_traces read, not {trace!r:.80}: log queries with "
            "TraceLogHandler"
        )
    if not trace.decisions:
        return "Nothing was decided yet."
    return "\n".join([_beginning(trace), *_steps(trace), _end(trace), *_bill(trace)])


def _beginning(trace: Trace) -> str:
    first = trace.decisions[0]
    qualities = _listed([f"{model} {quality:.2f}" for model, quality in first.quality.items()])
    words = [f"Before any answer the expected quality was {qualities}."]
    costs = [f"{model} {cost:.3g}" for model, cost in first.cost.items() if cost is not None]
    if costs:
        words.append(f"A call was expected to cost {_listed(costs)}.")
    setting = _listed([f"{name} {value:.3g}" for name, value in trace.setting.items()])
    if not trace.fitted:
        words.append(
            "The router has not been fitted: it went by priors, and by the log-probabilities of "
            f"the answers ({setting})."
        )
    elif trace.budget is None or trace.budget == float("inf"):
        words.append(f"There was no budget; {trace.strategy} decided ({setting}).")
    else:
        words.append(
            f"The budget was {trace.budget:.3g} per query on average; {trace.strategy} decided "
            f"({setting})."
        )
    return " ".join(words)


def _steps(trace: Trace) -> Iterator[str]:
    """A sentence or two for each model that was called."""
    failures = iter(trace.failures)
    for before, after in zip(trace.decisions, trace.decisions[1:], strict=False):
        model = before.action
        if model is None:
            continue
        if len(after.after) > len(before.after):
            yield _answered(trace, model, before, after)
        else:
            yield f"{_why(before)} {_failed(next(failures))}"


def _answered(trace: Trace, model: str, before: Decision, after: Decision) -> str:
    cost = trace.costs.get(model)
    paid = "" if cost is None else f" for {cost:.3g}"
    words = [f"{_why(before)} It answered{paid}."]
    was, now = f"{before.quality[model]:.2f}", f"{after.quality[model]:.2f}"
    if was == now:
        words.append(f"Its estimate stayed at {now}.")
    else:
        way = "raised" if after.quality[model] > before.quality[model] else "lowered"
        words.append(f"The answer {way} its estimate from {was} to {now}.")
    others = [
        f"{other} from {quality:.2f} to {after.quality[other]:.2f}"
        for other, quality in before.quality.items()
        if other != model and f"{quality:.2f}" != f"{after.quality[other]:.2f}"
    ]
    if others:
        words.append(f"It moved those of others: {_listed(others)}.")
    return " ".join(words)


def _why(decision: Decision) -> str:
    """Why a model was called."""
    stays = " Whatever it says, its answer is returned." if decision.final else ""
    return f"{decision.reason}.{stays}"


def _failed(failure: Failure) -> str:
    error = " ".join(f"{type(failure.error).__name__}: {failure.error}".split())
    error = textwrap.shorten(error, _LONGEST_ERROR, placeholder=" ...")
    after = "" if failure.seconds is None else f" after {failure.seconds:.3g} s"
    return f"It failed{after} ({error}) and was not called again."


def _end(trace: Trace) -> str:
    last = trace.decisions[-1]
    if last.action is not None:
        return f"{_why(last)} It has not answered yet."
    if trace.chosen is None:
        return f"No answer is returned: {last.reason}."
    return f"The answer of {trace.chosen} is returned: {last.reason}."


def _bill(trace: Trace) -> Iterator[str]:
    """What it cost, and how that compares."""
    if not trace.answers and not any(failure.answer for failure in trace.failures):
        return
    total = trace.total_cost
    if total is None:
        yield "What it cost is not known: a price is missing."
        return
    words = f"In all it cost {total:.3g}"
    if trace.advice:
        words += f", {sum(advice.cost or 0.0 for advice in trace.advice):.3g} of it for advice"
    dearest = _dearest(trace)
    if dearest is None:
        yield f"{words}."
        return
    model, alone = dearest
    how = "cost" if trace.costs.get(model) is not None else "is expected to cost"
    yield f"{words}, {_against(total, alone)} {model}, the dearest, {how} alone ({alone:.3g})."


def _dearest(trace: Trace) -> tuple[str, float] | None:
    """The dearest model and what it costs alone: as it came out where it ran, else as expected."""
    costs = {**trace.decisions[0].cost}
    costs |= {model: cost for model, cost in trace.costs.items() if cost is not None}
    if None in costs.values() or len(costs) < 2:  # noqa: PLR2004  nothing to compare with
        return None
    model = max(costs, key=lambda name: costs[name] or 0.0)
    return model, costs[model] or 0.0


def _against(total: float, alone: float) -> str:
    if alone <= 0 or abs(total / alone - 1) < _SMALL:
        return "as much as"
    share = total / alone
    if share < 1:
        return f"{1 - share:.0%} less than"
    return f"{share - 1:.0%} more than"


def _listed(words: list[str]) -> str:
    """Words with commas and a last "and"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
