"""Handing candidates to training: a new job that trains them, and reuses all that was done."""

from __future__ import annotations

from collections.abc import Sequence

from jobs import views
from jobs.errors import SubmissionError
from jobs.submit import submit
from service import candidates
from service.instance import Instance
from service.spec import JobSpec
from service.submission import submission

MOST = 16
_LONGEST = 100


def train(
    instance: Instance,
    user: str,
    job: str,
    names: Sequence[str],
    priority: int = 0,
    key: str | None = None,
) -> tuple[str, bool]:
    """A job like `job` that trains these of its candidates, distilled and measured side by side.

    Stages that are the same, such as the table, the supernet and the search, are taken over by
    their hashes.

    Returns:
        The new job's id, and whether it is new.

    Raises:
        UnknownError: no such job or candidate.
        SubmissionError: none or too many candidates.
    """
    wanted = list(dict.fromkeys(names))
    if not 1 <= len(wanted) <= MOST:
        raise SubmissionError(f"1 to {MOST} candidates are trained at once, but got {len(wanted)}")
    found = [candidates.one(instance, job, name) for name in wanted]
    spec = JobSpec.model_validate_json(views.show(instance.database, job).spec)
    chosen = spec.train.model_copy(update={"configs": [c.config for c in found]})
    name = "-".join([spec.name, *(c.finalist or c.id for c in found)])[:_LONGEST].rstrip("-")
    trained = spec.model_copy(update={"train": chosen, "name": name})
    return submit(instance.database, user, submission(trained, None, priority), key)
