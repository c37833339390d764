"""The journal: torn lines, damage, locks, and failing disks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading

import pytest

from cascade_engine import Answer, DataError, Query, ToolCall, Usage
from cascade_engine.data.calls.journal import CallFailure, Cell, Journal, read_journal
from cascade_engine.data.collection import Collection, collect

ANSWER = Answer("ü\u2028\n", (-0.5, float("-inf")), Usage(3, 4), None, 0.25, "stop")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def write(path, count=3, models=("m",)):
    with Journal(path, models) as journal:
        for i in range(count):
            journal.append(Query(f"q{i}"), Cell(f"k{i}", "m", 0), ANSWER)


def test_what_is_written_is_read(path):
    failure = CallFailure("TimeoutError: slow", 3)
    calls = Answer("", tool_calls=(ToolCall("f", {"x": [1, None]}),), signals={"judge": 0.5})
    with Journal(path, ["m", "n"], {"temperature": 0.5}) as journal:
        journal.append(Query("q", 3), Cell("k", "m", 0), ANSWER)
        journal.append(Query("q", 3), Cell("k", "n", 0), failure)
        journal.append(Query("q", 3), Cell("k", "n", 1), calls)
    recorded = read_journal(path)
    assert [*recorded.results.values()] == [ANSWER, failure, calls]
    assert [cell.sample for cell in recorded.results] == [0, 0, 1]
    assert recorded.queries == {"k": Query("q", 3)}
    assert recorded.models == ("m", "n")
    lines = path.read_bytes().split(b"\n")
    assert len(lines) == 6  # header, one query, three calls, and nothing after the last newline
    assert json.loads(lines[0])["format"] == "cascade-routing/journal"


@pytest.mark.parametrize("content", ["my notes", "{}", '{"format": "x"}\n', '["a"]\n', "\x00\x01"])
def test_a_file_of_something_else_is_left_alone(path, content):
    path.write_text(content)
    with pytest.raises(DataError):
        Journal(path, ["m"])
    assert path.read_text() == content


@pytest.mark.parametrize("content", ["", '{"form', '{"format": "cascade-routing/journal", "versi'])
def test_a_torn_header_is_begun_anew(path, content):
    path.write_text(content)
    write(path, 1)
    assert len(read_journal(path).results) == 1


def test_a_newer_version_is_refused(path):
    write(path, 1)
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(DataError, match=r"is of version 2 .* reads version 1"):
        Journal(path, ["m"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sample": 0', '"sample": ', "line 3 of .* is no JSON"),
        ('"text": "ü', '"txet": "ü', "line 3 of .* is damaged: Answer has no field 'txet'"),
        ('"key": "k0", "model"', '"key": "k9", "model"', "line 3 of .* is damaged: 'k9'"),
        ('"answer": {', '"reply": {', "line 3 of .* is damaged: 'failure'"),
        ('"input_tokens": 3', '"input_tokens": "3"', "Usage.input_tokens must be int, not '3'"),
        ('"logprobs": [', '"logprobs": "x", "x": [', "Answer has no field 'x'"),
    ],
)
def test_damage_within_is_told_and_nothing_changed(path, old, new, message):
    write(path)
    damaged = path.read_text(encoding="utf-8").replace(old, new, 1)
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Journal(path, ["m"])
    assert path.read_text(encoding="utf-8") == damaged


def test_one_process_writes_at_a_time(path):
    write(path)
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from cascade_engine.data.calls.journal import Journal\n"
        "from cascade_engine import DataError\n"
        "try:\n    Journal(Path(sys.argv[1]), ['m'])\n"
        "except DataError as error:\n    print(error)\n"
    )

    def other():
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout

    with Journal(path, ["m"]):
        assert "is being written to by another process or thread" in other()
        with pytest.raises(DataError, match="by another process or thread"):
            Journal(path, ["m"])
        assert len(Collection.from_journal(path)) == 3  # reading needs no lock
    assert other() == ""


def test_a_refused_journal_is_not_kept_locked(path):
    write(path)
    with pytest.raises(DataError, match="none of them is asked now"):
        Journal(path, ["other"])
    write(path)


def test_two_collections_in_one_process_do_not_mix(path):
    started, go_on = threading.Event(), threading.Event()

    def model(query):
        started.set()
        assert go_on.wait(30)
        return Answer("")

    worker = threading.Thread(
        target=collect, args=({"m": model}, ["q"]), kwargs={"path": path, "progress": False}
    )
    worker.start()
    try:
        assert started.wait(30)
        with pytest.raises(DataError, match="another process or thread"):
            collect({"m": model}, ["q"], path=path, progress=False)
    finally:
        go_on.set()
        worker.join(30)


class Disk:
    """A file that takes half of what it is given, and then nothing."""

    def __init__(self, file):
        self._file, self.full = file, True

    def write(self, data):
        if self.full and len(data) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(bytes(data[: len(data) // 2 + 1]) if self.full else data)

    def fileno(self):
        return self._file.fileno()


def test_half_a_line_on_a_full_disk_is_taken_back(path):
    write(path, 1)
    before = path.read_bytes()
    with Journal(path, ["m"]) as journal:
        disk = journal._file = Disk(journal._file)
        with pytest.raises(OSError, match="No space left"):
            journal.append(Query("more"), Cell("k9", "m", 0), ANSWER)
        assert path.read_bytes() == before
        disk.full = False
        journal.append(Query("more"), Cell("k9", "m", 0), ANSWER)
    assert [cell.key for cell in read_journal(path).results] == ["k0", "k9"]


def test_each_call_is_synced_before_the_next(path, monkeypatch):
    sizes, real = [], os.fsync

    def fsync(handle):
        real(handle)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            sizes.append(path.stat().st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    write(path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    assert sizes == [ends[0], ends[2], ends[4], ends[6]]  # header, then a query and its call


def test_there_must_be_a_journal_to_read_one(path):
    with pytest.raises(DataError, match="holds no journal"):
        Collection.from_journal(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no journal"):
        Collection.from_journal(path)


def test_settings_must_be_writable(path):
    with pytest.raises(DataError, match="is a object, which cannot be written"):
        Journal(path, ["m"], {"client": object()})
    assert not path.exists()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (Answer("x", logprobs=(None, -1.0)), "logprobs must be float, not None"),
        (Answer("x", logprobs=-1.0), "logprobs must be a list, not -1.0"),
        (Answer("x", usage=Usage(3.0, 4)), "input_tokens must be int, not 3.0"),
        (Answer("x", usage={"input_tokens": 3}), "usage must be a Usage"),
        (Answer("x", tool_calls=({"name": "f"},)), "tool_calls must be a ToolCall"),
        (Answer("x", finish_reason=5), "finish_reason must be str, not 5"),
        (Answer(None), "text must be str, not None"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(path, bad, said):
    write(path)
    before = path.read_bytes()
    with Journal(path, ["m"]) as journal:
        with pytest.raises(DataError, match=rf"the answer of 'm' to 'why\?' .*{said}"):
            journal.append(Query("why?"), Cell("k", "m", 0), bad)
        journal.append(Query("why?"), Cell("k", "m", 0), ANSWER)
    assert path.read_bytes().startswith(before)
    assert len(read_journal(path).results) == 4
