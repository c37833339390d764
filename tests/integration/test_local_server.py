from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request

import pytest

pytest.importorskip("xllamacpp")

from cascade_engine.local import (
    LocalServer,
    LocalServerError,
    WeightsError,
    WeightsUnavailableError,
    fetch,
)

NAME = "SmolLM2-135M-Instruct"
PROMPTS = (
    "What is the capital of Japan? One word.",
    "Is 'I loved it' positive or negative? One word.",
    "List three colours.",
)

pytestmark = [pytest.mark.local_models, pytest.mark.slow]


@pytest.fixture(scope="module")
def weights():
    try:
        return fetch(NAME)
    except WeightsUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server(weights):
    with LocalServer(NAME, cache_dir=weights.parent) as running:
        yield running


def content(answer):
    """All of an answer but its seconds, which no machine repeats exactly."""
    return answer.text, answer.logprobs, answer.input_tokens, answer.finish_reason


def test_answers_do_not_depend_on_what_was_asked_before(server):
    first = {prompt: content(server.complete(prompt, max_tokens=16)) for prompt in PROMPTS}
    for prompt in reversed(PROMPTS):
        assert content(server.complete(prompt, max_tokens=16)) == first[prompt]


def test_answers_are_the_same_from_another_server(server, weights):
    with LocalServer(weights) as other:
        assert other.model == weights.stem
        for prompt in PROMPTS:
            said = [content(one.complete(prompt, max_tokens=32)) for one in (other, server)]
            assert said[0] == said[1]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_an_answer_carries_its_log_probs_and_cost(server, prompt):
    answer = server.complete(prompt, max_tokens=16)
    assert answer.text
    assert len(answer.logprobs) == answer.output_tokens > 0
    assert all(value <= 0 for value in answer.logprobs)
    assert answer.input_tokens > 0
    assert answer.seconds > 0


def test_the_finish_reason_tells_a_cut_answer(server):
    assert server.complete(PROMPTS[0], max_tokens=64).finish_reason == "stop"
    cut = server.complete(PROMPTS[2], max_tokens=3)
    assert cut.finish_reason == "length"
    assert cut.output_tokens == 3


def test_a_prompt_that_is_too_long_is_refused(server):
    with pytest.raises(LocalServerError, match="exceeds the available context"):
        server.complete("word " * 3000)


def test_an_openai_client_gets_the_same_answer(server):
    openai = pytest.importorskip("langchain_openai")
    client = openai.ChatOpenAI(
        model=server.model,
        base_url=server.base_url,
        api_key="local",
        temperature=0,
        max_tokens=16,
        logprobs=True,
        top_logprobs=1,
    )
    message = client.invoke(PROMPTS[0])
    direct = server.complete(PROMPTS[0], max_tokens=16)
    tokens = message.response_metadata["logprobs"]["content"]
    assert message.content == direct.text
    assert tuple(token["logprob"] for token in tokens) == pytest.approx(direct.logprobs)
    assert message.usage_metadata["input_tokens"] == direct.input_tokens
    assert message.response_metadata["model_name"] == NAME
    client.root_client.close()


def test_closing_releases_the_port_and_refuses_questions(weights, capfd):
    server = LocalServer(weights)
    health = server.base_url.replace("/v1", "/health")
    with urllib.request.urlopen(health, timeout=5) as response:  # noqa: S310
        assert response.status == 200
    assert server.base_url in repr(server)
    server.close()
    server.close()
    assert "closed" in repr(server)
    with pytest.raises(LocalServerError, match="closed"):
        server.complete("Hello?")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(health, timeout=5)  # noqa: S310
    assert capfd.readouterr() == ("", "")  # quiet by default


def test_verbose_lets_the_runtime_speak(weights, capfd):
    with LocalServer(weights, verbose=True):
        pass
    assert capfd.readouterr().err


def test_a_file_that_is_no_model_is_named(tmp_path):
    own = tmp_path / "broken.gguf"
    own.write_bytes(b"GGUF and nothing after it")
    with pytest.raises(WeightsError, match=r"broken\.gguf"):
        LocalServer(own)


def test_it_can_be_closed_at_once():
    """Closed before its main loop had begun, the runtime used to wait for that loop for ever."""
    program = """
from cascade_engine.local import LocalServer
for _ in range(30):
    LocalServer("SmolLM2-135M-Instruct", n_ctx=256, progress=False).close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
