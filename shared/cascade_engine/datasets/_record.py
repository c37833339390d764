"""Record what the local models answer, and pack the answers into one file.

```
python -m cascade_engine.datasets._record --model NAME --out DIR [--limit N]
python -m cascade_engine.datasets._record --pack FILE --out DIR
```

A recording may be killed at any moment and started again: it goes on where it
stopped, and asks again only what was asked with another prompt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cascade_engine.datasets._questions import generate
from cascade_engine.errors import DataError
from cascade_engine.local import MODELS, LocalServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cascade_engine.datasets._families import Question
    from cascade_engine.local import LocalAnswer

MAX_TOKENS = 64
FORMAT = "cascade-routing/recorded"
VERSION = 1
_ANSWER_FIELDS = ("text", "logprobs", "input_tokens", "output_tokens", "seconds", "finish_reason")
_PROGRESS_EVERY = 10.0  # seconds between two progress lines


def prompt_sha(prompt: str) -> str:
    """The short hash that ties a recorded answer to its prompt."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:12]


def read_recording(path: Path) -> dict[str, dict[str, Any]]:
    """The recorded answers of one model by question; the last of each counts.

    Args:
        path: The recording; one that does not exist holds nothing. A last line
            that was torn when the recorder was killed is left out.
    """
    if not path.exists():
        return {}
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last newline is torn
    entries = (json.loads(line) for line in lines)
    return {entry["id"]: entry for entry in entries}


def record(
    complete: Callable[[str], LocalAnswer],
    questions: Iterable[Question],
    path: Path,
    *,
    log: TextIO | None = None,
) -> int:
    """Ask every question not yet answered and append each answer as it comes.

    Args:
        complete: Asks the model one prompt.
        questions: What to ask.
        path: The recording to go on with.
        log: Where progress lines go; standard error by default.

    Returns:
        The number of questions asked.
    """
    recorded = read_recording(path)
    missing = [question for question in questions if not _is_answered(question, recorded)]
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(path)
    progress = _Progress(path.stem, len(missing), log or sys.stderr)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        for done, question in enumerate(missing, start=1):
            entry = _entry(question, complete(question.prompt))
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
            progress.show(done)
    return len(missing)


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
    asked = list(questions)
    recordings = {
        name: read_recording(folder / f"{name}.jsonl")
        for name in MODELS
        if (folder / f"{name}.jsonl").exists()
    }
    _refuse_gaps(folder, asked, recordings)
    models = [{"name": name, "parameters": MODELS[name].parameters} for name in recordings]
    lines = [{"format": FORMAT, "version": VERSION, "models": models}]
    lines += [_packed(question, recordings) for question in asked]
    _write_compressed(target, lines)
    return len(asked)


def _is_answered(question: Question, recorded: dict[str, dict[str, Any]]) -> bool:
    entry = recorded.get(question.id)
    return entry is not None and entry["prompt_sha"] == prompt_sha(question.prompt)


def _drop_torn_line(path: Path) -> None:
    if path.exists():
        whole = path.read_bytes().rfind(b"\n") + 1
        os.truncate(path, whole)


def _entry(question: Question, answer: LocalAnswer) -> dict[str, Any]:
    return {
        "id": question.id,
        "prompt_sha": prompt_sha(question.prompt),
        "text": answer.text,
        # Adding 0.0 writes the rounded -0.00001 as 0.0 and not as -0.0.
        "logprobs": [round(value, 4) + 0.0 for value in answer.logprobs],
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "seconds": round(answer.seconds, 4),
        "finish_reason": answer.finish_reason,
    }


def _refuse_gaps(
    folder: Path, asked: list[Question], recordings: dict[str, dict[str, dict[str, Any]]]
) -> None:
    if not recordings:
        known = ", ".join(MODELS)
        raise DataError(f"{folder} holds no recording of any of: {known}")
    gaps = {
        name: sum(not _is_answered(question, recorded) for question in asked)
        for name, recorded in recordings.items()
    }
    if any(gaps.values()):
        counts = ", ".join(f"{name} misses {gap} of {len(asked)}" for name, gap in gaps.items())
        raise DataError(f"answers are missing: {counts}; record them with --model")


def _packed(question: Question, recordings: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    return {
        "id": question.id,
        "family": question.family,
        "split": question.split,
        "prompt": question.prompt,
        "reference": question.reference,
        "grader": question.grader,
        "answers": {
            name: {field: recorded[question.id][field] for field in _ANSWER_FIELDS}
            for name, recorded in recordings.items()
        },
    }


def _write_compressed(target: Path, lines: Sequence[dict[str, Any]]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp")
    with lzma.open(temporary, "wt", preset=9, encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    temporary.replace(target)


class _Progress:
    """A line every so often: how far the recording is and how long it will take."""

    def __init__(self, name: str, total: int, log: TextIO) -> None:
        self._name, self._total, self._log = name, total, log
        self._started = self._shown = time.monotonic()

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now - self._shown < _PROGRESS_EVERY and done < self._total:
            return
        self._shown = now
        each = (now - self._started) / done
        minutes = each * (self._total - done) / 60
        self._log.write(
            f"{self._name}: {done}/{self._total}, {each:.2f} s each, {minutes:.1f} min left\n"
        )
        self._log.flush()


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
        mixed = sorted(generate(), key=lambda question: prompt_sha(question.prompt))
        questions = islice(mixed, options.limit)
        path = options.out / f"{server.model}.jsonl"
        record(lambda prompt: server.complete(prompt, max_tokens=MAX_TOKENS), questions, path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cascade_engine.datasets._record")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--model", choices=tuple(MODELS), help="the model to ask")
    task.add_argument("--pack", type=Path, metavar="FILE", help="pack all recordings of --out")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the recordings")
    parser.add_argument("--limit", type=int, metavar="N", help="ask N questions, for a trial")
    return parser


if __name__ == "__main__":
    main()
