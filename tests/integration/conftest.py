"""A small real model, served on this machine; and cascades over real clients of scripted ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.scripted import ScriptedServer

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


@dataclass
class Cascades:
    """Makes cascades of two scripted models: the draft is taken, or there is always an escalation.

    Attributes:
        server: where the models are.
        answering: the model whose answers are returned.
    """

    server: ScriptedServer
    answering: str

    @property
    def level(self):
        """How sure the first model is of each of its tokens."""
        return 0.97 if self.answering == "weak" else 0.5

    def make(self, script=None, *, weak=None, options=None, **fields):
        """A cascade whose models do as the script says.

        Args:
            script: of both models; by default `plain`, which says who speaks.
            weak: of the first model, if it is another.
            options: for both clients.
            fields: for the cascade.
        """
        from langchain_cascade import CascadeRoutingLLM, Price
        from tests.scripted import plain, sure

        script, options = script or plain, options or {}
        models = [
            self.server.chat("weak", sure(self.level, weak or script), **options),
            self.server.chat("strong", sure(0.97, script), **options),
        ]
        prices = {"weak": Price(1, 2), "strong": Price(10, 20)}
        return CascadeRoutingLLM(models=models, **{"prices": prices, **fields})

    def asked(self):
        """How often each of the two was asked."""
        return tuple(len(self.server.asked(model)) for model in ("weak", "strong"))

    def rounds(self, count):
        """How often each is asked in so many calls of the cascade."""
        return (count, count if self.answering == "strong" else 0)


@pytest.fixture(params=["weak", "strong"], ids=["accepted", "escalated"])
def cascades(request, scripted_server):
    """The factory of cascades, once for each of the two ways."""
    return Cascades(scripted_server, request.param)


def _is_left_out(item):
    """Whether its class says so; notebooks have none."""
    name, own = getattr(item, "originalname", None), getattr(item, "cls", None)
    return name in getattr(own, "left_out", ())


def pytest_collection_modifyitems(config, items):
    """Leaves out what a class of somebody else's tests says it cannot be asked for."""
    out = [item for item in items if _is_left_out(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]
