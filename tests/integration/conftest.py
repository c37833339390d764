"""A small real model, served on this machine."""

from __future__ import annotations

import pytest

NAME = "SmolLM2-135M-Instruct"


@pytest.fixture(scope="session")
def local_server():
    """An OpenAI-compatible server with the smallest model, shared by all tests."""
    pytest.importorskip("xllamacpp")
    from cascade_engine.local import LocalServer, WeightsUnavailableError

    try:
        server = LocalServer(NAME)
    except WeightsUnavailableError as error:
        pytest.skip(str(error))
    with server:
        yield server
