"""What can go wrong with jobs, one class per answer that a caller gives."""

from __future__ import annotations


class SubmissionError(ValueError):
    """A submission that breaks a rule; the message names field, value and valid choices."""


class ConflictError(ValueError):
    """An idempotency key that was used before for something else."""


class QuotaError(RuntimeError):
    """A user has as many jobs as allowed."""


class UnknownError(LookupError):
    """No such job, artifact or user, or not one this user may see."""


class StateError(RuntimeError):
    """What was asked does not fit the job's state."""


class StaleLeaseError(RuntimeError):
    """The writer no longer holds the job: it was given up for dead, or its attempt is over."""


class StoreError(RuntimeError):
    """The store cannot be used; the message says why."""


class StoreUnavailableError(StoreError):
    """The store does not answer now; the same call may succeed later."""


class StoreCorruptError(StoreError):
    """The database or a stored file is damaged."""


class StoreFullError(StoreError):
    """No space is left for the database or a stored file."""
