"""Takes in what many clients submit at once: bodies in, jobs as a list shows them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs import views
from jobs.database import Database
from jobs.submission import Submission
from jobs.submit import Asked, Taken, submit_all
from service.http.bodies import SubmitBody
from service.submission import submission

View = dict[str, Any]
Answer = tuple[View, bool]
"""The job, and whether it is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitting:
    """What a client sent."""

    body: SubmitBody
    user: str
    key: str | None


def taking(database: Database) -> Callable[[Sequence[Submitting]], list[Answer | Exception]]:
    """The call that takes several in; every refusal is that of its own body alone."""

    def take(sent: Sequence[Submitting]) -> list[Answer | Exception]:
        planned = [_planned(one.body) for one in sent]
        good = {
            place: Asked(user=one.user, submission=plan, key=one.key)
            for place, (one, plan) in enumerate(zip(sent, planned, strict=True))
            if isinstance(plan, Submission)
        }
        taken = dict(zip(good, submit_all(database, list(good.values())), strict=True))
        shown = views.several(
            database, [one[0] for one in taken.values() if isinstance(one, tuple)]
        )
        return [_answer(taken.get(place, plan), shown) for place, plan in enumerate(planned)]

    return take


def _planned(body: SubmitBody) -> Submission | Exception:
    try:
        return submission(body.parsed(), body.until, body.priority)
    except Exception as error:  # whatever it is: nobody else sent it
        return error


def _answer(
    taken: Taken | Submission | Exception, shown: dict[str, views.JobView]
) -> Answer | Exception:
    if isinstance(taken, Exception):
        return taken
    assert isinstance(taken, tuple)
    job, new = taken
    return asdict(shown[job]), new
