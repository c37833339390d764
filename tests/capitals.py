"""Questions for small real models, and clients that ask them."""

from __future__ import annotations

#: Ten are as few as a fit takes; the models answer in real time.
CAPITALS = {
    "France": "Paris",
    "Japan": "Tokyo",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Cuba": "Havana",
    "Norway": "Oslo",
    "Portugal": "Lisbon",
    "Russia": "Moscow",
}
QUESTIONS = [f"What is the capital of {country}? One word." for country in CAPITALS]
REFERENCES = list(CAPITALS.values())


def holds(question, answer, reference):
    """Whether the right word occurs in the answer."""
    return float(reference.lower() in answer.lower())


def chat(server, tokens, **options):
    """A `ChatOpenAI` of a local server's model, cut off after so many tokens.

    Its connections are its own, to be closed by whoever asked for it.
    """
    import httpx
    from langchain_openai import ChatOpenAI

    from tests.scripted.clients import LOOPBACK

    settings = {"temperature": 0, "http_client": httpx.Client(**LOOPBACK), **options}
    return ChatOpenAI(
        model=server.model,
        base_url=server.base_url,
        api_key="local",
        logprobs=True,
        max_tokens=tokens,
        stream_usage=True,
        **settings,
    )
