"""``holdfast audit CKPT module:evaluate``: does it measure as it was logged, and if not, why?"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import click

from .._core.errors import UsageError
from .options import Settings, shared

__all__ = ["command"]

_GIVEN = ("evaluate", "preprocess", "apply", "data", "contract", "metrics", "probe", "build_with")


@click.command("audit")
@click.argument("checkpoint", metavar="CKPT")
@click.argument("evaluate", metavar="MODULE:EVALUATE")
@click.option(
    "--model", "factory", metavar="MODULE:FACTORY", help="The function that makes the model, if another."
)
@click.option(
    "--arg",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for the factory; may be repeated.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME=VALUE",
    help="A number that was logged elsewhere; may be repeated.",
)
@click.option("--allow", multiple=True, metavar="EDIT", help="An edit taken as given; may be repeated.")
@click.option("--loaded", is_flag=True, help="The factory loads the checkpoint itself: judge what it gives.")
@click.option(
    "--steps", type=click.IntRange(min=0), default=6, help="Neighbouring checkpoints to try.  [default: 6]"
)
@shared(formats=("text", "json"), jobs=False)
def command(
    checkpoint: str,
    evaluate: str,
    factory: str | None,
    given: tuple[str, ...],
    metrics: tuple[str, ...],
    allow: tuple[str, ...],
    loaded: bool,
    steps: int,
    settings: Settings,
) -> None:
    """Restore a checkpoint, measure it again, and explain what differs from the numbers that were logged.

    MODULE:EVALUATE names a function of your own code: with --model, evaluate(model) that returns a dict of metrics; else a
    factory that returns (model, evaluate). Digests come first: a fault in the state is never judged by a metric.

    \b
    Examples:
      holdfast audit runs/bert train:audit            # def audit(): ... return model, evaluate
      holdfast audit runs/bert/step-00001200 train:evaluate --model train:make
      holdfast audit best.pt train:audit --metric val_loss=0.31
    """
    from .. import _api
    from .._render.document import SCHEMA_VERSION, finding_document
    from .._render.plain import plain
    from .factory import aside

    parts = _parts(evaluate, factory, given)
    logged = _numbers(metrics)
    if logged:
        parts["metrics"] = {**dict(parts.get("metrics") or {}), **logged}
    with aside():
        report = _api.audit(checkpoint, allow=allow, loaded=loaded, steps=steps, **parts)
    kept = [f for f in report.findings if settings.wanted(f)]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "audit",
        **plain(report.as_document()),
        "findings": [finding_document(f) for f in kept],
    }
    settings.show(document)
    click.get_current_context().exit(int(settings.fails(kept)))


def _parts(evaluate: str, factory: str | None, given: Sequence[str]) -> dict[str, Any]:
    """The arguments of ``audit`` that the user's own code gives."""
    from .factory import keywords, load_factory, load_thing, parts_of

    if factory is not None:
        made = parts_of(load_factory(factory, kwargs=keywords(given)))
        return {"model": _model(made, factory), "evaluate": _callable(load_thing(evaluate), evaluate)}
    wants = _required(load_thing(evaluate))
    if wants and not {text.partition("=")[0] for text in given} >= set(wants):
        raise UsageError(
            f"{evaluate} takes {', '.join(wants)}: it is an evaluation, and what makes the model is not known",
            remedy="`--model MODULE:FACTORY` names it; or write a function without arguments that returns (model, evaluate).",
        )
    made = load_factory(evaluate, kwargs=keywords(given))
    if isinstance(made, (tuple, list)) and len(made) == 2 and callable(made[1]):
        return {"model": made[0], "evaluate": made[1]}
    if isinstance(made, Mapping) and "model" in made and callable(made.get("evaluate")):
        unknown = sorted(set(made) - {"model", *_GIVEN})
        if unknown:
            raise UsageError(
                f"{evaluate} returned words that audit does not know", found=", ".join(unknown),
                expected=", ".join(("model", *_GIVEN)),
            )  # fmt: skip
        return dict(made)
    raise UsageError(
        f"{evaluate} returned neither (model, evaluate) nor a dict of them", found=type(made).__name__,
        expected="(model, evaluate), where evaluate(model) returns a dict of metrics",
        remedy="With `--model MODULE:FACTORY` it may be the evaluation itself.",
    )  # fmt: skip


def _required(thing: Any) -> list[str]:
    """Names of the arguments that a function cannot do without."""
    try:
        parameters = inspect.signature(thing).parameters.values() if callable(thing) else ()
    except (TypeError, ValueError):
        return []
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind in kinds]


def _model(made: Mapping[str, Any], factory: str) -> Any:
    if made.get("model") is None:
        raise UsageError(f"{factory} returned no model", found=", ".join(made))
    return made["model"]


def _callable(thing: Any, text: str) -> Any:
    if not callable(thing):
        raise UsageError(f"{text} is no function", found=type(thing).__name__, expected="evaluate(model)")
    return thing


def _numbers(texts: Sequence[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError("a metric has the form NAME=VALUE, with a number", found=text)
    return found
