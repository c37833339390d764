"""A collection killed with SIGKILL goes on: nothing is lost and nothing is paid for twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from cascade_engine.data.collection import Collection

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")

QUERIES = 12
# Each call is noted in a file of its own before it is answered: what has been paid for. Call number
# `last` tells the parent that it has begun, and never ends.
SCRIPT = f"""
import sys; sys.path[:0] = {sys.path!r}
import os, threading, time
from cascade_engine import Answer
from cascade_engine.data.collection import acollect, collect

path, paid, last, way = sys.argv[1:]
count, lock = 0, threading.Lock()

def ask(name, query):
    global count
    with lock:
        count += 1
        number = count
        with open(paid, "a") as file:
            file.write(f"{{name}} {{query.text}}\\n")
    if number == int(last):
        sys.stdout.write("begun\\n")
        sys.stdout.flush()
        threading.Event().wait()
    return Answer(f"{{name}} {{query.text}}", cost=1.0)

def model(name):
    return lambda query: ask(name, query)

queries = [f"q{{i}}" for i in range({QUERIES})]
models = {{"small": model("small"), "large": model("large")}}
if way == "sync":
    found = collect(models, queries, path=path, max_concurrency=3)
else:
    import asyncio
    found = asyncio.run(acollect(models, queries, path=path, max_concurrency=3))
print(len(found.missing()), found.cost)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_killed_collection_goes_on(tmp_path, way):
    path, paid = tmp_path / "journal.jsonl", tmp_path / "paid"
    lost = 0
    for last in (5, 1, 9):
        lost += killed_at(last, path, paid, way)
        assert recorded(path) <= set(noted(paid))
    done = subprocess.run(
        command(path, paid, 0, way), check=False, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == f"0 {2 * QUERIES}.0\n", done.stderr
    wanted = {f"{model} q{i}" for model in ("small", "large") for i in range(QUERIES)}
    assert recorded(path) == wanted
    # What was in flight when the process was killed is asked again, and nothing else.
    assert len(noted(paid)) <= len(wanted) + lost
    assert set(noted(paid)) == wanted


def command(path, paid, last, way):
    return [sys.executable, "-c", SCRIPT, str(path), str(paid), str(last), way]


def killed_at(last, path, paid, way):
    """Kills the process in its call number `last`; how many of its calls were in flight."""
    before, had = len(noted(paid)), recorded(path)
    process = subprocess.Popen(
        command(path, paid, last, way), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"begun\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    in_flight = len(noted(paid)) - before - len(recorded(path) - had)
    assert 1 <= in_flight <= 3  # no more than run at once: all else was on disk
    return in_flight


def noted(paid):
    return paid.read_text().splitlines() if paid.exists() else []


def recorded(path):
    """The answers that are whole in the journal."""
    if not path.exists():
        return set()
    lines = path.read_bytes().split(b"\n")[:-1]
    texts = [json.loads(line)["answer"]["text"] for line in lines if b'"answer"' in line]
    assert len(texts) == len(set(texts))  # none twice
    if texts:
        rows = Collection.from_journal(path, models=["small", "large"])
        assert sum(len(rows.answers(r, m)) for r in range(len(rows)) for m in rows.models) == len(
            texts
        )
    return set(texts)
