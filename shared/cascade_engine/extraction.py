r"""Final answers read from free text, so that answers of different models can be compared.

An extractor is any function `(question, text) -> str | None` that returns one canonical text for
all answers that say the same, and None where it finds no final answer. Here are:

| Extractor          | reads                                                    | "B) 1,200 USD" |
| ------------------ | -------------------------------------------------------- | -------------- |
| `number`           | the final number, as a decimal or a fraction             | "1200"         |
| `choice_letter`    | the letter A to J of the option chosen                   | "B"            |
| `label(labels)`    | the one of the given labels                              |                |
| `json_field(path)` | a field of the JSON in the answer                        |                |
| `json_answer`      | the JSON that the answer is, keys sorted                 |                |
| `code_block`       | the last code block, without comments and layout         |                |
| `boxed`            | what LaTeX's `\boxed{}` holds                            |                |
| `normalised_text`  | the words, without a lead-in such as "The answer is"     | "b 1 200 usd"  |
| `automatic`        | whichever of these the question and the answer call for  |                |

`agreement` says how far two answers agree. To compare many answers to one question, bring each
into its canonical form once, by `canonical`, and compare these by `agree`.

No extractor raises on any text, and all take time linear in its length.
"""

from __future__ import annotations

from cascade_engine.answers.agreement import Canonical, agree, agreement, canonical
from cascade_engine.answers.extractors import (
    Extract,
    Extractor,
    automatic,
    boxed,
    choice_letter,
    code_block,
    json_answer,
    json_field,
    label,
    normalised_text,
    number,
)
from cascade_engine.answers.similarity import similarity

__all__ = [
    "Canonical",
    "Extract",
    "Extractor",
    "agree",
    "agreement",
    "automatic",
    "boxed",
    "canonical",
    "choice_letter",
    "code_block",
    "json_answer",
    "json_field",
    "label",
    "normalised_text",
    "number",
    "similarity",
]
