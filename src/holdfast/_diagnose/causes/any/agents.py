"""Agents of reinforcement learning: what Stable-Baselines3, RLlib and their kin say of a saved policy.

Messages: stable_baselines3/common/{base_class,save_util,utils}.py, numpy's pickle helpers, ray/rllib.
"""

from __future__ import annotations

from ...knowledge import Entry
from ...where import loading_or_alone

_REPLACE = (
    "Pass what could not be read anew: `custom_objects={{'observation_space': env.observation_space, 'action_space': "
    "env.action_space, 'lr_schedule': lambda _: 0.0, 'clip_range': lambda _: 0.2}}`; or load with the versions that saved."
)

ENTRIES = (
    Entry(
        "agent-not-deserialised",
        "version-mismatch",
        (
            "could not deserialize object",
            "were not given, can't verify",
            "callable(value_schedule)",
            "ctor() takes",
        ),
        r"Could not deserialize object (?P<what>\w+)|(?P<what2>\w+_space) and \w+_space were not given, can't verify"
        r"|assert callable\(value_schedule\)|__(?:randomstate|generator|bit_generator)_ctor\(\) takes",
        why="an object that was pickled into the agent's file ({what}) cannot be read by these versions of Python, numpy or gym",
        remedy=_REPLACE,
        also=("custom-object", "format-mismatch"),
        weight=0.88,
        example='KeyError: "The observation_space and action_space were not given, can\'t verify new environments"',
    ),
    Entry(
        "agent-spaces-differ",
        "shape-mismatch",
        (
            "spaces do not match",
            "number of environments to be set is different",
            "unexpected observation shape",
        ),
        r"(?P<which>Observation|Action) spaces do not match: (?P<saved>.{1,160}?) != |spaces do not match"
        r"|number of environments to be set is different|Unexpected observation shape (?P<got>\S.{0,30})",
        why="the environment is not like the one that the agent was trained in ({which} space: {saved} was saved)",
        remedy=(
            "Wrap it as in training (frame stack, channels first or last, VecTranspose, normalisation), "
            "in the same order, then load."
        ),
        also=("preprocessing", "version-mismatch"),
        weight=0.86,
        example="ValueError: Observation spaces do not match: Box(0.0, 1.0, (4,), float32) != Box(0.0, 1.0, (6,), float32)",
    ),
    Entry(
        "agent-kwargs-differ",
        "shape-mismatch",
        ("policy kwargs do not equal the stored",),
        "",
        why="the policy is built with other settings (`policy_kwargs`) than it was saved with",
        remedy="Leave policy_kwargs out when loading (the stored ones are used), or give the same.",
        where=loading_or_alone,
        also=("version-mismatch", "custom-object"),
        weight=0.8,
        example="ValueError: The specified policy kwargs do not equal the stored policy kwargs.",
    ),
)
