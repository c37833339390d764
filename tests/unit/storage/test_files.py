"""Files with one writer at a time."""

from __future__ import annotations

import threading
import time

import pytest

from cascade_engine.errors import DataError
from cascade_engine.storage.files import locked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "written"


def test_a_lock_keeps_others_out_until_it_is_released(path):
    with locked(path), pytest.raises(DataError, match=r"another process or thread .*written\.lock"):
        locked(path).__enter__()
    with locked(path):
        pass


def test_a_lock_is_waited_for(path):
    taken, release = threading.Event(), threading.Event()

    def holder():
        with locked(path):
            taken.set()
            release.wait(30)

    thread = threading.Thread(target=holder)
    thread.start()
    assert taken.wait(30)
    start = time.perf_counter()
    with pytest.raises(DataError, match="wait for it"), locked(path, timeout=0.2):
        pass
    assert time.perf_counter() - start >= 0.2
    threading.Timer(0.1, release.set).start()
    with locked(path, timeout=-1):
        thread.join()


def test_another_thread_may_release_a_lock(path):
    lock = locked(path)
    lock.__enter__()
    thread = threading.Thread(target=lock.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with locked(path):
        pass


def test_a_lock_file_of_an_earlier_version_does_no_harm(path):
    path.with_name("written.lock").write_bytes(b"SQLite format 3\0")
    with locked(path), pytest.raises(DataError):
        locked(path).__enter__()
