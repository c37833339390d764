"""A scripted OpenAI-compatible server on loopback, for tests over the providers' real clients.

    with ScriptedServer() as server:
        weak = server.chat("weak", Reply("Lima, perhaps", probability=0.5))
        strong = server.chat("strong", lambda request: Reply("Lima"))
        ...
        assert len(server.asked("weak")) == 1

A script is a text, a `Reply`, a function (request body -> text or `Reply`), or a list of those, one
for each request. Without one a model does what `plain` does. Whoever starts a server by hand calls
`stop`, which raises what went wrong inside; the fixture `scripted_server` does so for a test.
"""

from tests.scripted.replies import Reply, ToolCall, plain, question_of, sure
from tests.scripted.schemas import instance
from tests.scripted.server import ScriptedServer

__all__ = ["Reply", "ScriptedServer", "ToolCall", "instance", "plain", "question_of", "sure"]
