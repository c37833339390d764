"""What any framework's cascade has in common; an adapter adds the framework's types, and no rule.

`fields` are those of its model, and `model` the methods that do not depend on the framework,
carried out by a `learner` (on `training_data`), `persistence` and `shadow` mode. `call_options`
says what a single call may change, `names` what children are called, `clock` times their streams,
and `replay` looks up recorded answers.
"""
