"""Record what the local models answer, and pack the answers into one file.

```
python -m everyday.record --model NAME --out DIR [--limit N]
python -m everyday.record --pack FILE --out DIR
```

A recording is a journal of `collect`. The recorder may be killed at any moment: started again, it
goes on where it stopped. A question whose prompt was changed is asked again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascade_engine.core.records import Answer, Query, Usage
from cascade_engine.data.collection import Collection, collect
from cascade_engine.errors import DataError
from cascade_engine.local import MODELS, LocalServer
from everyday.generator import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cascade_engine.local import LocalAnswer
    from everyday.families import Question

MAX_TOKENS = 64
FORMAT = "cascade-routing/recorded"
VERSION = 1


def record(
    complete: Callable[[str], LocalAnswer], questions: Iterable[Question], path: Path
) -> Collection:
    """Ask every question not yet answered; each answer is on disk before the next is asked.

    Args:
        complete: Asks the model one prompt.
        questions: What to ask.
        path: The recording to go on with, named after the model.

    Returns:
        The answers, those recorded before among them.

    Raises:
        DataError: A question could not be answered; what was answered is recorded.
    """

    def ask(query: Query) -> Answer:
        return _answer(complete(query.text))

    prompts = [Query(question.prompt) for question in questions]
    # One at a time: the CPU seconds of an answer are recorded with it.
    recording = collect(
        {path.stem: ask}, prompts, path=path, max_concurrency=1, max_failures=0, retries=0
    )
    for missing in recording.missing():
        if missing.why:
            prompt = recording.queries[missing.row].text
            raise DataError(f"{missing.model} failed on {prompt!r}: {missing.why}")
    return recording


def pack(folder: Path, target: Path, questions: Iterable[Question]) -> int:
    """Join the questions and the recordings of a folder into one compressed file.

    Args:
        folder: Holds one recording a model, named after it.
        target: The file to write, all of it or nothing.
        questions: The questions, in the order they are written.

    Returns:
        The number of questions written.

    Raises:
        DataError: Answers are missing.
    """
    questions = list(questions)
    paths = {name: folder / f"{name}.jsonl" for name in MODELS}
    recordings = {name: _recorded(path, name) for name, path in paths.items() if path.exists()}
    _refuse_gaps(folder, questions, recordings)
    models = [{"name": name, "parameters": MODELS[name].parameters} for name in recordings]
    lines = [{"format": FORMAT, "version": VERSION, "models": models}]
    lines += [_packed(question, recordings) for question in questions]
    _write_compressed(target, lines)
    return len(questions)


def _answer(answer: LocalAnswer) -> Answer:
    return Answer(
        answer.text,
        # Adding 0.0 writes the rounded -0.00001 as 0.0 and not as -0.0.
        tuple(round(value, 4) + 0.0 for value in answer.logprobs),
        Usage(answer.input_tokens, answer.output_tokens),
        seconds=round(answer.seconds, 4),
        finish_reason=answer.finish_reason,
    )


def _recorded(path: Path, model: str) -> dict[str, Answer]:
    """The recorded answers by prompt."""
    recording = Collection.from_journal(path, models=[model])
    return {
        query.text: answer
        for row, query in enumerate(recording.queries)
        for answer in recording.answers(row, model)
    }


def _refuse_gaps(
    folder: Path, questions: list[Question], recordings: Mapping[str, Mapping[str, Answer]]
) -> None:
    if not recordings:
        raise DataError(f"{folder} holds no recording of any of: {', '.join(MODELS)}")
    gaps = {
        name: sum(question.prompt not in recorded for question in questions)
        for name, recorded in recordings.items()
    }
    if any(gaps.values()):
        counts = ", ".join(f"{name} misses {gap} of {len(questions)}" for name, gap in gaps.items())
        raise DataError(f"answers are missing: {counts}; record them with --model")


def _packed(question: Question, recordings: Mapping[str, Mapping[str, Answer]]) -> dict[str, Any]:
    return {
        "id": question.id,
        "family": question.family,
        "split": question.split,
        "prompt": question.prompt,
        "reference": question.reference,
        "grader": question.grader,
        "answers": {
            name: _fields(recorded[question.prompt]) for name, recorded in recordings.items()
        },
    }


def _fields(answer: Answer) -> dict[str, Any]:
    assert answer.usage is not None  # noqa: S101  always recorded
    return {
        "text": answer.text,
        "logprobs": list(answer.logprobs or ()),
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "seconds": answer.seconds,
        "finish_reason": answer.finish_reason,
    }


def _write_compressed(target: Path, lines: Sequence[dict[str, Any]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp")
    with lzma.open(temporary, "wt", preset=9, encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    temporary.replace(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        arguments: What follows the program's name; by default from the system.
    """
    options = _parser().parse_args(arguments)
    if options.pack:
        count = pack(options.out, options.pack, generate())
        size = options.pack.stat().st_size
        sys.stderr.write(f"{options.pack}: {count} questions, {size:,} bytes\n")
        return
    with LocalServer(options.model) as server:
        # In an order that mixes the families, so that a part of a recording is a fair sample.
        mixed = sorted(generate(), key=lambda q: hashlib.sha256(q.prompt.encode()).digest())
        questions = islice(mixed, options.limit)
        path = options.out / f"{server.model}.jsonl"
        record(lambda prompt: server.complete(prompt, max_tokens=MAX_TOKENS), questions, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m everyday.record")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--model", choices=tuple(MODELS), help="the model to ask")
    task.add_argument("--pack", type=Path, metavar="FILE", help="pack all recordings of --out")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the recordings")
    parser.add_argument("--limit", type=int, metavar="N", help="ask N questions, for a trial")
    return parser


if __name__ == "__main__":
    main()
