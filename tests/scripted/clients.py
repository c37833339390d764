"""Real clients of a scripted server, with connections of their own.

A client's asynchronous connections belong to the event loop that opened them. Here they are not
kept alive, so that a client may be used from one loop after the other.
"""

from __future__ import annotations

import httpx

_ONCE = httpx.Limits(max_keepalive_connections=0)
#: Nothing is encrypted on loopback, and to read the certificates takes longer than most tests.
LOOPBACK = {"trust_env": False, "verify": False}


def chat(server, model, options):
    from langchain_openai import ChatOpenAI

    settings = {"stream_usage": True, "logprobs": True, **options}
    return ChatOpenAI(model=model, **_connected(server, "http_async_client"), **settings)


def llm(server, model, options):
    from llama_index.llms.openai_like import OpenAILike

    connected = _connected(server, "async_http_client")
    settings = {
        "api_base": connected.pop("base_url"),
        "is_chat_model": True,
        "is_function_calling_model": True,
        "context_window": 8192,
        **options,
    }
    return OpenAILike(model=model, **connected, **settings)


def embeddings(server, model):
    from langchain_openai import OpenAIEmbeddings

    connected = _connected(server, "http_async_client")
    return OpenAIEmbeddings(model=model, check_embedding_ctx_length=False, **connected)


def _connected(server, asynchronous):
    return {
        "base_url": server.base_url,
        "api_key": "test",
        "max_retries": 0,
        "http_client": server.http(httpx.Client),
        asynchronous: httpx.AsyncClient(limits=_ONCE, **LOOPBACK),
    }
