"""A real language model in this process, behind an OpenAI-compatible address."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cascade_engine.errors import CascadeError
from cascade_engine.local._models import MODELS
from cascade_engine.local._weights import WeightsError, fetch

if TYPE_CHECKING:
    import os
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

_SILENT = -1  # the verbosity at which the runtime writes no log line at all


class LocalServerError(CascadeError):
    """The server of a local model refused a request, or is closed."""


@dataclass(frozen=True)
class LocalAnswer:
    """What a local model answered.

    Attributes:
        text: The answer.
        logprobs: The natural log-probability of every token of the answer, end
            marker included where the model wrote one.
        input_tokens: Tokens of the prompt, chat template included.
        output_tokens: Tokens of the answer.
        seconds: CPU seconds the answer took, which other programs on the
            machine hardly change.
        finish_reason: ``"stop"`` when the model ended by itself, ``"length"``
            when ``max_tokens`` cut it off.
    """

    text: str
    logprobs: tuple[float, ...]
    input_tokens: int
    output_tokens: int
    seconds: float
    finish_reason: str


class LocalServer:
    """A local model on a free loopback port, serving from construction to close.

    Answers are greedy, uncached and computed on the CPU, so that neither the
    words nor the seconds depend on what was asked before.

    Args:
        model: A name in [MODELS][cascade_engine.local.MODELS], whose weights are
            downloaded on first use, or the path of a GGUF file.
        cache_dir: Where downloaded weights are kept; see
            [fetch][cascade_engine.local.fetch].
        n_ctx: Tokens a prompt and its answer may have together.
        n_threads: CPU threads. One is the default because it makes CPU seconds
            comparable, and because more are often slower for models this small.
        verbose: Let the runtime write its log to standard error.
        progress: Show the progress of a download on standard error.

    Attributes:
        model: The model's name (for a path, the file name without its suffix).
        path: The weights.
        base_url: What OpenAI clients call the base URL, ending in ``/v1``.

    Raises:
        ImportError: The extra ``local`` is not installed.
        WeightsError: The weights cannot be had or loaded.

    Example:
        ```python
        with LocalServer("SmolLM2-135M-Instruct") as server:
            print(server.complete("Say hello.").text)
        ```
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        n_ctx: int = 2048,
        n_threads: int = 1,
        verbose: bool = False,
        progress: bool = True,
    ) -> None:
        runtime = _runtime()  # before a download that would be of no use
        self.path: Path = fetch(model, cache_dir=cache_dir, progress=progress)
        self.model: str = str(model) if str(model) in MODELS else self.path.stem
        params = _params(runtime, self.path, n_ctx=n_ctx, n_threads=n_threads)
        params.model_alias = {self.model}
        if not verbose:
            params.verbosity = _SILENT
        # The runtime stops serving once its object is gone: this is the only
        # reference, and close() drops it.
        self._server: Any = _start(runtime, params, self.path)
        self.base_url: str = f"{self._server.listening_address}/v1"
        self._one_at_a_time = threading.Lock()

    def complete(self, prompt: str, max_tokens: int = 64) -> LocalAnswer:
        """Ask the model, without going through HTTP.

        Calls from several threads wait for one another, so that the seconds of
        one answer never hold the work of another.

        Args:
            prompt: The message of the user.
            max_tokens: Tokens after which the answer is cut off.

        Returns:
            The answer with its log-probabilities and its cost.

        Raises:
            LocalServerError: The server is closed, or the prompt too long.
        """
        request = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 1,  # with 0 the runtime leaves out all of them
            "cache_prompt": False,
        }
        with self._one_at_a_time:
            if self._server is None:
                raise LocalServerError(f"the server of {self.model} is closed: start another one")
            started = time.process_time()
            reply = self._server.handle_chat_completions(request)
            seconds = time.process_time() - started
        return _answer(reply, seconds)

    def close(self) -> None:
        """Stop serving, free the weights and release the port; safe to repeat."""
        with self._one_at_a_time:
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._server is None else self.base_url
        return f"LocalServer({self.model!r}, {state})"


def _runtime() -> Any:
    try:
        import xllamacpp  # noqa: PLC0415 - heavy and optional
    except ImportError as error:
        raise ImportError(
            'local models need the package xllamacpp: pip install "cascade-routing[local]"',
            name="xllamacpp",
        ) from error
    return xllamacpp


def _params(runtime: Any, path: Path, *, n_ctx: int, n_threads: int) -> Any:
    params = runtime.CommonParams()
    params.model.path = str(path)
    params.n_ctx = n_ctx
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
    # On a GPU the seconds and the last digits of the log-probs would be others.
    params.n_gpu_layers = 0
    params.fit_params = False
    # The same for HTTP clients as for complete(): nothing is kept from a prompt.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.ui = False
    params.endpoint_metrics = True  # for _start
    return params


def _start(runtime: Any, params: Any, path: Path) -> Any:
    try:
        server = runtime.Server(params)
    except RuntimeError as error:
        raise WeightsError(
            f"the runtime cannot load {path}: is it a whole GGUF file? "
            "LocalServer(..., verbose=True) shows why"
        ) from error
    # Closed before its main loop has begun, the runtime would wait for that loop for ever. Metrics
    # come from the loop: once they are there, it runs.
    server.handle_metrics()
    return server


def _answer(reply: dict[str, Any], seconds: float) -> LocalAnswer:
    if "error" in reply:
        raise LocalServerError(f"the model did not answer: {reply['error']['message']}")
    choice, usage = reply["choices"][0], reply["usage"]
    tokens = (choice.get("logprobs") or {}).get("content") or []
    return LocalAnswer(
        text=choice["message"]["content"] or "",
        # Rounding in the runtime's softmax can put a certain token a hair above 0.
        logprobs=tuple(min(0.0, float(token["logprob"])) for token in tokens),
        input_tokens=int(usage["prompt_tokens"]),
        output_tokens=int(usage["completion_tokens"]),
        seconds=seconds,
        finish_reason=str(choice["finish_reason"]),
    )
