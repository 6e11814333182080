"""What a server's refusals are raised as: one class per answer that a caller gives."""

from __future__ import annotations


class ClientError(RuntimeError):
    """The server refused, or could not be reached.

    Attributes:
        status: of the answer; None where there was none.
        field: that is wrong, where the server names one.
    """

    def __init__(self, message: str, status: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.field = status, field


class UnreachableError(ClientError):
    """No answer: no server there, or the connection broke."""


class UnauthorizedError(ClientError):
    """The token is missing, unknown or has ended; or the job is another user's."""


class NotFoundError(ClientError):
    """No such job, table, candidate or file."""


class InvalidError(ClientError):
    """The request breaks a rule; the message names field, value and valid choices."""


class StateConflictError(ClientError):
    """What was asked does not fit the job's state."""


class BusyError(ClientError):
    """A quota is used up, or the store does not answer now; later it may."""


KINDS: dict[int, type[ClientError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: UnauthorizedError,
    404: NotFoundError,
    409: StateConflictError,
    413: InvalidError,
    416: InvalidError,
    422: InvalidError,
    429: BusyError,
    503: BusyError,
    507: BusyError,
}
