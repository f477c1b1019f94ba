"""The judgement on traces made by hand: each cause where it must be named, and none where nothing differs."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

import holdfast._drill
from holdfast._core.fault import Fault
from holdfast._drill.align import align
from holdfast._drill.compare import Loose, differing, rows
from holdfast._drill.judge import judge, loose_of
from holdfast._drill.runs import Run, run_of
from holdfast._rules.facts import findings_of
from holdfast._rules.registry import rules
from memory_catalog import found, subject

SLUGS = [rule.slug for rule in rules() if rule.code.startswith("R3")]
STEPS, SAVES, KILLED = 12, (3, 6, 9), 8


def record(k: int) -> dict[str, Any]:
    """What a sound run does at a step."""
    return {
        "e": "step",
        "weights": {"w": f"w{k}", "b": f"b{k}"},
        "buffers": {"mean": f"m{k}"},
        "slots": {"w/exp_avg": f"s{k}", "w/step": f"c{k}"},
        "slots_whole": True,
        "lr": [0.1 * 0.5**k],
        "scheduler": {"0:StepLR": {"last_epoch": k - 1}},
        "scaler": {"0": {"scale": 64.0 * k, "_growth_tracker": k % 2}},
        "seeds": {"dropout/seed": f"d{k}"},
        "rng": {"torch cpu": f"r{k}", "python": "p"},
        "rng_in": {"torch cpu": f"r{k - 1}+", "python": "p"},
        "batches": [[k, k + 100]],
        "position": [(k - 1) % 6 + 1],
        "generator": [],
        "fed": [f"x{k}"],
        "callbacks": {"0:EarlyStopping": {"best": 1.0 / k, "wait": 0.0}},
        "logs": {"loss": 2.0 / k},
        "loss": [1.0 / k],
    }


def events(begin: int, end: int, *, pending: int = 0, stop: bool = True) -> list[dict[str, Any]]:
    """A process that makes the steps after ``begin`` up to ``end``."""
    made: list[dict[str, Any]] = []
    if begin:
        made.append({"e": "load", "k": 0, "path": "last.pt"})
    for k in range(begin + 1, end + 1):
        made.append({**record(k), "k": k - begin})
        if k in SAVES:
            made.append(
                {
                    "e": "save",
                    "k": k - begin,
                    "path": "last.pt",
                    "pending": pending,
                    "rng": {"torch cpu": f"r{k}+", "python": "p"},
                }
            )
            made.append({"e": "saved", "k": k - begin, "path": "last.pt"})
    return [*made, {"e": "end", "k": end - begin}] if stop else [*made, {"e": "killed", "k": end - begin}]


def faults(change: Any = None, *, pending: int = 0, resumed: Any = None) -> list[Fault]:
    """Judge a resumption after step 6, with the resumed process's events changed."""
    reference = run_of(events(0, STEPS, pending=pending))
    killed = run_of(events(0, KILLED, pending=pending, stop=False))
    told = copy.deepcopy(events(6, STEPS)) if resumed is None else resumed
    for event in told:
        if change is not None and event["e"] == "step":
            change(event, event["k"])
    run = run_of(told)
    where = align(reference, killed, run)
    run.offset = where.step
    return judge(reference, killed, run, loose_of(reference, killed, killed.last))


def slugs(*args: Any, **kwargs: Any) -> list[str]:
    return [fault.slug for fault in faults(*args, **kwargs)]


def test_nothing_is_said_of_an_exact_resumption() -> None:
    assert faults() == []
    assert slugs(pending=2) == [], "gradients that were pending are told where something differs"


def at_first(**fields: Any) -> Any:
    """A change of the first resumed step."""

    def change(event: dict[str, Any], k: int) -> None:
        if k == 1:
            event.update(fields)

    return change


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"buffers": {"mean": "m0"}}, "drill-weights"),
        ({"slots": {}}, "drill-optimizer"),
        ({"slots": {"w/exp_avg": "s0", "w/step": "c0"}}, "drill-optimizer"),
        ({"lr": [0.05]}, "drill-learning-rate"),
        ({"scheduler": {"0:StepLR": {"last_epoch": 0}}}, "drill-scheduler"),
        ({"scheduler": {"0:StepLR": {"last_epoch": 0}}, "lr": [0.05]}, "drill-scheduler"),
        ({"slots": {"w/exp_avg": "s7", "w/step": "c0"}, "lr": [0.05]}, "drill-scheduler"),
        ({"scaler": {"0": {"scale": 64.0, "_growth_tracker": 0}}}, "drill-loss-scale"),
        ({"seeds": {"dropout/seed": "d0"}}, "drill-layer-seed"),
        ({"rng": {"torch cpu": "r1", "python": "p"}, "rng_in": {"torch cpu": "r0", "python": "p"}, "loss": [9.0]},
         "drill-random-state"),
        ({"batches": [[1, 101]], "fed": ["x1"], "position": [1], "loss": [9.0]}, "drill-data-position"),
        ({"batches": [[4, 104]], "fed": ["x4"], "position": [4], "loss": [9.0]}, "drill-data-position"),
        ({"batches": [[55, 5]], "fed": ["y"], "loss": [9.0], "rng": {"torch cpu": "z", "python": "p"},
          "rng_in": {"torch cpu": "z0", "python": "p"}}, "drill-random-state"),
        ({"callbacks": {"0:EarlyStopping": {"best": None, "wait": 0.0}}}, "drill-best"),
        ({"logs": {"loss": 7.0}}, "drill-metrics"),
        ({"loss": [9.0]}, "drill-unexplained"),
        ({"fed": ["other"], "loss": [9.0]}, "drill-data-position"),
    ],
)  # fmt: skip
def test_what_was_lost_is_named_first(fields: dict[str, Any], slug: str) -> None:
    found = faults(at_first(**fields))
    assert found[0].slug == slug, [f.message for f in found]
    assert found[0].message.startswith("step 7: ") and found[0].attributes["resumed_after"] == 6
    assert len(found) == 1, [f.message for f in found]


def test_several_things_lost_are_all_told_the_state_first() -> None:
    found = slugs(
        at_first(
            slots={}, scaler={"0": {"scale": 64.0, "_growth_tracker": 0}}, batches=[[1, 101]], position=[1]
        )
    )
    assert found == ["drill-optimizer", "drill-loss-scale", "drill-data-position"]


def test_a_save_between_two_backward_passes() -> None:
    assert slugs(at_first(batches=[[8, 108]], loss=[9.0]), pending=1)[0] == "drill-accumulation"
    assert (
        slugs(at_first(slots={"w/exp_avg": "s7", "w/step": "c7", "w/gradient_accumulator": "0"}), pending=0)
        == []
    )


def test_a_schedule_that_stands_still() -> None:
    def stuck(event: dict[str, Any], k: int) -> None:
        event["scheduler"] = {"0:StepLR": {"last_epoch": 6}}
        event["lr"] = [0.1 * 0.5**7]

    (fault,) = faults(stuck)
    assert (
        fault.slug == "drill-scheduler"
        and fault.message.startswith("step 8")
        and "not stepped" in fault.message
    )


def test_random_state_without_consequence_is_a_warning() -> None:
    def other(event: dict[str, Any], k: int) -> None:
        event["rng"] = {"torch cpu": f"q{k}", "python": "p"}

    (fault,) = faults(other)
    assert (fault.slug, fault.attributes["severity"]) == ("drill-random-state", "warning")


def test_random_state_with_a_late_consequence_is_its_cause() -> None:
    def other(event: dict[str, Any], k: int) -> None:
        event["rng"] = event["rng_in"] = {"torch cpu": f"q{k}", "python": "p"}
        if k >= 3:
            event["loss"] = [50.0]

    (fault,) = faults(other)
    assert fault.slug == "drill-random-state" and "severity" not in fault.attributes


def test_what_an_uninterrupted_run_does_not_reproduce_is_not_held_against_it() -> None:
    reference, killed, resumed = (
        copy.deepcopy(e) for e in (events(0, STEPS), events(0, KILLED, stop=False), events(6, STEPS))
    )
    for n, made in enumerate((reference, killed, resumed)):
        for event in made:
            if event["e"] == "step":
                event["rng"]["python"] = event["rng_in"]["python"] = f"unseeded {n}"
    one, other, third = run_of(reference), run_of(killed), run_of(resumed)
    third.offset = 6
    assert judge(one, other, third, loose_of(one, other, KILLED)) == []


def test_another_length_and_other_saves() -> None:
    longer = copy.deepcopy(events(6, STEPS))
    longer[-1:-1] = [{**record(13), "k": 7}]
    assert slugs(resumed=longer) == ["drill-length"]
    extra = copy.deepcopy(events(6, STEPS))
    extra[-1:-1] = [
        {"e": "save", "k": 5, "path": "best.pt", "rng": {}},
        {"e": "saved", "k": 5, "path": "best.pt"},
    ]
    (fault,) = faults(resumed=extra)
    assert fault.slug == "drill-best" and "best.pt" in fault.message
    again = copy.deepcopy(events(6, STEPS))  # saved once more before anything was trained: no other decision
    again[1:1] = [
        {"e": "save", "k": 0, "path": "last.pt", "rng": {}},
        {"e": "saved", "k": 0, "path": "last.pt"},
    ]
    assert slugs(resumed=again) == []


@pytest.mark.parametrize(
    ("begin", "how", "step"), [(6, "weights", 6), (3, "weights", 3), (0, "anew", 0), (STEPS, "done", STEPS)]
)
def test_where_it_goes_on(begin: int, how: str, step: int) -> None:
    where = align(
        run_of(events(0, STEPS)), run_of(events(0, KILLED, stop=False)), run_of(events(begin, STEPS))
    )
    assert (where.how, where.step) == (how, step)


def test_where_it_goes_on_though_weights_were_lost() -> None:
    partly = copy.deepcopy(events(6, STEPS))
    for event in partly:
        if event["e"] == "step":
            event["weights"]["b"] = "initial"
    where = align(run_of(events(0, STEPS)), run_of(events(0, KILLED, stop=False)), run_of(partly))
    assert (where.how, where.step) == ("save", 6)
    assert slugs(resumed=partly) == ["drill-weights"]


def test_a_run_that_was_killed_before_its_first_save_begins_anew_and_that_is_right() -> None:
    where = align(run_of(events(0, STEPS)), run_of(events(0, 2, stop=False)), run_of(events(0, STEPS)))
    assert (where.how, where.step) == ("weights", 0)


@pytest.mark.parametrize("committed", [False, True])
def test_a_save_in_the_background_counts_once_it_is_committed(committed: bool) -> None:
    before: list[dict[str, Any]] = []
    for event in events(0, KILLED, stop=False):
        before.append({**event, "step": event["k"], "whole": False} if event["e"] == "save" else event)
        if event["e"] == "saved" and committed and event["k"] == SAVES[0]:
            before.append({"e": "committed", "k": KILLED, "path": before[-2]["path"], "step": SAVES[0]})
    run = run_of(before)
    assert [save["k"] for save in run.saved] == [3, 6]
    assert [save["k"] for save in run.whole] == [3][:committed]
    where = align(run_of(events(0, STEPS)), run, run_of(events(0, STEPS)))
    assert (where.how, where.step) == ("anew" if committed else "weights", 0)


def test_only_what_both_saw_is_compared() -> None:
    one, other = record(1), record(1)
    del other["scaler"]
    other["weights"] = {"w": "w1"}
    assert differing(one, other) == {}
    assert differing({"loss": [float("nan")]}, {"loss": [float("nan")]}) == {}
    table = {
        row.what: row for row in rows([(1, one, other), (2, record(2), {**record(2), "lr": [1.0]})], Loose())
    }
    assert (
        table["learning rate"].differs == 2
        and table["weights"].differs is None
        and table["weights"].steps == 2
    )


def test_a_run_is_read_from_its_events() -> None:
    run = run_of(
        [
            *events(0, 4, stop=False)[:-1],
            {"e": "save", "k": 4, "path": "x", "pending": 0},
            {"e": "killed", "k": 4},
        ]
    )
    assert (run.last, run.killed, run.ended) == (4, True, False)
    assert [s["path"] for s in run.saves] == ["last.pt", "x"] and [s["path"] for s in run.saved] == [
        "last.pt"
    ]
    assert run.at(4)["k"] == 4 and run.at(5) is None  # type: ignore[index]
    assert run_of([{"e": "step", "k": 1}, {"e": "values", "k": 1, "values": {"best": 3}}]).steps[0][
        "values"
    ] == {"best": 3}
    assert Run().final() == {}


# -- the rules -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_speaks_of_its_fault_alone(slug: str) -> None:
    fault = Fault(slug, "so it is", seen=1, expected=2, attributes={"step": 3})
    (finding,) = findings_of([fault], subject(None).target)
    assert (finding.slug, finding.message, finding.evidence["step"]) == (slug, "so it is", 3)
    assert found(slug, subject(None, *(Fault(other, "x") for other in SLUGS if other != slug))) == []


def test_every_cause_has_its_rule_and_every_rule_its_cause() -> None:
    source = "".join(p.read_text() for p in Path(holdfast._drill.__file__).parent.glob("*.py"))
    assert set(re.findall(r'"(drill-[a-z-]+)"', source)) - {"drill-"} == set(SLUGS)


def test_nothing_of_the_watching_stays_in_pytorch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from holdfast._drill.inprocess import faults_of_resuming

    schedulers = torch.optim.lr_scheduler
    kinds = (
        schedulers.LRScheduler,
        schedulers.StepLR,
        torch.optim.Adam,
        torch.optim.Optimizer,
        torch.nn.Module,
    )
    torch.optim.Adam(
        torch.nn.Linear(2, 2).parameters()
    )  # PyTorch itself wraps `step` when the first one is made
    before = [dict(vars(kind)) for kind in kinds]

    def train(folder: Path, steps: int) -> None:
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.Adam(model.parameters())
        scheduler = schedulers.StepLR(optimizer, 2)
        for _ in range(steps):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            scheduler.step()
            torch.save(model.state_dict(), folder / "model.pt")

    faults_of_resuming(train, steps=4, kill_at=[2], folder=tmp_path)
    assert [dict(vars(kind)) for kind in kinds] == before
    made = schedulers.StepLR(torch.optim.Adam(torch.nn.Linear(2, 2).parameters()), 2)
    assert made.step_size == 2, "object.__new__ refuses arguments for good once a class has had a __new__"
