"""A live query as one line of JSON, and back.

```
{"format": "cascade-routing/trace", "version": 1, "time": "2026-05-04T10:02:11.318+00:00",
 "key": "<hash>", "query": {...}, "input": [...], "answers": {"small": {...}},
 "setting": {"lambda": 21.5}, "trace": {"chosen": "small", "decisions": [...], ...}}
```

Queries and answers are written field by field (`storage.json_records`), decisions as
`Trace.to_dict` has them. Every line names its format, because several processes may write to one
file, and files may be cut and joined by line. No line holds a model, a client or an API key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.core.trace import Advice, Decision, Failure, Trace
from cascade_engine.errors import DataError, LoggedError
from cascade_engine.storage.files import check_header
from cascade_engine.storage.json_records import record_from_json, record_to_json
from cascade_engine.storage.json_values import value_from_json, value_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["BLANK", "START", "LoggedTrace", "line_value", "logged_trace"]

R = TypeVar("R", Query, Answer)

FORMAT, VERSION = "cascade-routing/trace", 1
#: What every line begins with.
START = b'{"format": "cascade-routing/trace"'
#: What stands for each character of a text that was left out.
BLANK = "\N{FULL BLOCK}"
#: Values that a line leaves out.
_DEFAULTS: dict[str, Any] = {"key": None, "input": None, "beside": {}, "unfit": {}, "shadow": False}


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True, slots=True)
class LoggedTrace:
    """One live query as a log has it.

    Attributes:
        trace: what was decided and answered. Once read from a log, its errors are `LoggedError`s.
        input: the framework's own input as JSON values; None where the query says everything.
        key: what tells the input from others; None where the content of the query does.
        time: when the query came to its end.
        shadow: whether the answers were for the record alone, and the user got another.
        beside: answers from outside of the trace, by model: in shadow mode the user's own.
        has_texts: whether texts are kept; otherwise each is a run of blocks of the same length.
    """

    trace: Trace
    input: Any = field(default=None, repr=False)
    key: str | None = None
    time: datetime = field(default_factory=_now)
    shadow: bool = False
    beside: Mapping[str, Answer] = field(default_factory=dict, hash=False)
    has_texts: bool = True

    @property
    def answers(self) -> dict[str, Answer]:
        """Every answer, by model."""
        return {**self.beside, **self.trace.answers}

    @property
    def query(self) -> Query:
        """The query, as the trace has it."""
        return self.trace.query


def line_value(logged: LoggedTrace) -> dict[str, Any]:
    """The line of a live query, as JSON values.

    Raises:
        DataError: its input holds what JSON cannot.
    """
    trace, to_json = logged.trace, record_to_json if logged.has_texts else _textless
    unfit = {str(i): failure.answer for i, failure in enumerate(trace.failures) if failure.answer}
    value: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "time": logged.time.isoformat(timespec="milliseconds"),
        "shadow": logged.shadow,
        "key": logged.key,
        "query": to_json(trace.query),
        "input": value_to_json(logged.input, "the input"),
        **{
            name: {key: to_json(answer) for key, answer in answers.items()}
            for name, answers in (
                ("answers", trace.answers),
                ("beside", logged.beside),
                ("unfit", unfit),
            )
        },
        "setting": value_to_json(trace.setting),
        "trace": value_to_json(trace.to_dict()),
    }
    for name, default in _DEFAULTS.items():
        if type(value[name]) is type(default) and value[name] == default:
            del value[name]
    return value


def _textless(record: Query | Answer) -> dict[str, Any]:
    return {**record_to_json(record), "text": len(record.text)}


def logged_trace(value: Any, path: Path, number: int) -> LoggedTrace:
    """The live query of a line, without payloads and with `LoggedError`s for errors.

    Args:
        value: the line, as JSON values.
        path: the log, for errors.
        number: the number of the line, for errors.

    Raises:
        DataError: the line is of another format or version, or was changed.
    """
    check_header(value, path, FORMAT, VERSION)
    try:
        query = _record(Query, value["query"])
        answers, beside, unfit = (
            {name: _record(Answer, answer) for name, answer in value.get(part, {}).items()}
            for part in ("answers", "beside", "unfit")
        )
        return LoggedTrace(
            _trace(
                value_from_json(value["trace"]),
                value_from_json(value["setting"]),
                query,
                answers,
                unfit,
            ),
            input=value_from_json(value.get("input")),
            key=value.get("key"),
            time=datetime.fromisoformat(value["time"]),
            shadow=value.get("shadow", False),
            beside=beside,
            has_texts=isinstance(value["query"]["text"], str),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"line {number} of {path} is damaged: {error!r}") from error


def _record(kind: type[R], value: dict[str, Any]) -> R:
    text = value["text"]
    return record_from_json(
        kind, {**value, "text": BLANK * text if isinstance(text, int) else text}
    )


def _trace(
    value: Mapping[str, Any],
    setting: Mapping[str, float],
    query: Query,
    answers: Mapping[str, Answer],
    unfit: Mapping[str, Answer],
) -> Trace:
    """The trace that `Trace.to_dict` has turned into a value."""
    return Trace(
        query=query,
        strategy=value["strategy"],
        fitted=value["fitted"],
        setting=setting,
        budget=value["budget"],
        decisions=tuple(Decision(**{**d, "after": tuple(d["after"])}) for d in value["decisions"]),
        answers=answers,
        failures=tuple(
            Failure(
                failure["model"],
                LoggedError(failure["error"]),
                failure.get("seconds"),
                unfit.get(str(i)),
                failure.get("cost"),
            )
            for i, failure in enumerate(value["failures"])
        ),
        costs={call["model"]: call["cost"] for call in value["calls"]},
        chosen=value["chosen"],
        advice=tuple(map(_advice, value["advice"])),
    )


def _advice(value: dict[str, Any]) -> Advice:
    counts = {field.name: value.pop(field.name, None) for field in fields(Usage)}
    usage = {name: count for name, count in counts.items() if count is not None}
    error = value.pop("error")
    return Advice(
        **value,
        usage=Usage(**usage) if usage else None,
        error=None if error is None else LoggedError(error),
    )
