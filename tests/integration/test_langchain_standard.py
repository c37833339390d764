"""LangChain's own standard tests, over real clients of a scripted server.

They run twice: with the first child always accepted, and with every call escalating. In the second
mode two chat models start where six of the tests want one (`LEFT_OUT`): `test_langchain_structured`
asserts the same with one start for each child.
"""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_openai")
pytest.importorskip("langchain_tests")

from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_cascade import CascadeRoutingLLM, Price
from tests.scripted import ScriptedServer
from tests.scripted.replies import sure

# The client says so each time it is given such a class.
pytestmark = pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1:UserWarning")

PRICES = {"weak": Price(1, 1), "strong": Price(10, 10)}
MODES = {"accepted": 0.99, "escalating": 0.5}
LEFT_OUT = ("test_structured_output", "test_structured_output_async")


@pytest.fixture(scope="module")
def server():
    with ScriptedServer() as started:
        yield started


class Cascade:
    """A cascade of two real clients, and what LangChain's tests may expect of it."""

    mode = "accepted"
    models = None

    @pytest.fixture(autouse=True)
    def _serve(self, server):
        """The children; and afterwards whether the mode was what it says."""
        weak = server.chat("weak", sure(MODES[self.mode]))
        strong = server.chat("strong", sure(0.99))
        type(self).models = {"weak": weak, "strong": strong}
        before = len(server.requests)
        yield
        asked = [request["model"] for request in server.requests[before:]]
        weak, strong = asked.count("weak"), asked.count("strong")
        forced = weak == 0  # by `model="strong"`
        assert forced or strong == (weak if self.mode == "escalating" else 0)

    @property
    def chat_model_class(self):
        return CascadeRoutingLLM

    @property
    def chat_model_params(self):
        return {"models": self.models, "prices": PRICES}

    @property
    def supports_json_mode(self):
        return True

    @property
    def supports_anthropic_inputs(self):
        return True

    @property
    def supports_model_override(self):
        return True

    @property
    def model_override_value(self):
        return "strong"


class TestUnits(Cascade, ChatModelUnitTests):
    """Without asking anyone."""


class TestAccepted(Cascade, ChatModelIntegrationTests):
    """The first child's answer is always good enough."""


class TestEscalating(Cascade, ChatModelIntegrationTests):
    """The first child's answer never is."""

    mode = "escalating"
    left_out = LEFT_OUT


def test_what_is_left_out_exists():
    assert all(hasattr(ChatModelIntegrationTests, name) for name in LEFT_OUT)
