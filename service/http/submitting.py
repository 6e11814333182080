"""Takes in what many clients submit at once: bodies in, jobs as a list shows them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs import views
from jobs.database import Database
from jobs.submission import Submission
from jobs.submit import MOST_AT_ONCE, Asked, Taken, submit_all
from service.http.bodies import SubmitBody
from service.submission import helpers, submission

View = dict[str, Any]
Answer = tuple[View, bool]
"""The job, and whether it is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """What a client sent."""

    body: SubmitBody
    user: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job, and those that measure for it meanwhile."""

    job: Submission
    helpers: list[Submission]


def taking(database: Database) -> Callable[[Sequence[Submitting]], list[Answer | Exception]]:
    """The call that takes several in; every refusal is that of its own body alone."""

    def take(sent: Sequence[Submitting]) -> list[Answer | Exception]:
        planned = [_planned(one.body) for one in sent]
        good = {
            place: Asked(user=one.user, submission=plan.job, key=one.key)
            for place, (one, plan) in enumerate(zip(sent, planned, strict=True))
            if isinstance(plan, Plan)
        }
        taken = dict(zip(good, submit_all(database, list(good.values())), strict=True))
        _help(database, sent, planned, taken)
        shown = views.several(
            database, [one[0] for one in taken.values() if isinstance(one, tuple)]
        )
        return [_answer(taken.get(place, plan), shown) for place, plan in enumerate(planned)]

    return take


def _planned(body: SubmitBody) -> Plan | Exception:
    try:
        spec = body.parsed()
        job = submission(spec, body.until, body.priority)
        return Plan(job=job, helpers=helpers(spec, job))
    except Exception as error:  # whatever it is: nobody else sent it
        return error


def _help(
    database: Database,
    sent: Sequence[Submitting],
    planned: Sequence[Plan | Exception],
    taken: Mapping[int, Taken | Exception],
) -> None:
    """Submits the helpers of new jobs; a job whose helper is refused does its work itself."""
    asked = [
        Asked(user=one.user, submission=helper)
        for place, (one, plan) in enumerate(zip(sent, planned, strict=True))
        for helper in (plan.helpers if isinstance(plan, Plan) else ())
        if (found := taken[place]) and isinstance(found, tuple) and found[1]
    ]
    for start in range(0, len(asked), MOST_AT_ONCE):
        submit_all(database, asked[start : start + MOST_AT_ONCE])


def _answer(taken: Taken | Plan | Exception, shown: dict[str, views.JobView]) -> Answer | Exception:
    if isinstance(taken, Exception):
        return taken
    assert isinstance(taken, tuple)
    job, new = taken
    return asdict(shown[job]), new
