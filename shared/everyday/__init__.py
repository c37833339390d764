"""The making of the data set *everyday*: its questions, and the recorder of models' answers.

`generator` makes 100 questions of each family in `families`, all of them gradable by a program;
`record` asks the local models of `cascade_engine.local` and packs what they answered into the file
that `cascade_engine.datasets` loads. Nothing here is part of the wheel.
"""
