"""Reading what models wrote: is an answer right, well formed, and do two answers agree?

`graders` compare an answer with a reference, and `extractors` read the one final answer from a free
text; both share the readers in `numbers`, `choices`, `code_and_json` and `final_answers`, and ask
`question_form` what a question wants. `canonical_answers` says how far two answers to a question
agree, by their final answers or else by `text_similarity`. `structure` reads signs that an answer
failed, with `validity` (of a form) and `refusals`; `certain_failures` are worth nothing. `scores`
reads the verdicts of judges, and `provider_reports` what comes beside the text: tokens,
log-probabilities, tool calls.
"""

from cascade_engine.answers.canonical_answers import CanonicalAnswer, agreement, canonical_answer
from cascade_engine.answers.extractors import Extract, Extractor
from cascade_engine.answers.graders import Grader
from cascade_engine.answers.scores import read_score, read_scores
from cascade_engine.answers.structure import (
    STRUCTURE_COLUMNS,
    Validator,
    structure_features,
    structure_table,
)
from cascade_engine.answers.text_similarity import similarity

__all__ = [
    "STRUCTURE_COLUMNS",
    "CanonicalAnswer",
    "Extract",
    "Extractor",
    "Grader",
    "Validator",
    "agreement",
    "canonical_answer",
    "read_score",
    "read_scores",
    "similarity",
    "structure_features",
    "structure_table",
]
