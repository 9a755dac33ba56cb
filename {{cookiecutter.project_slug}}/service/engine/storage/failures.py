"""What an error of PostgreSQL means: for whoever waits for an answer, and for the connection that it came on."""

from psycopg import Error
from psycopg.errors import InsufficientPrivilege, UndefinedTable
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.engine.foundation.problems import Problem, Unavailable

FAILURES = (DBAPIError, PoolTimeoutError, OSError)
"""All that an operation may end with; what is a bug, `problem_of` says."""

_OUTAGES = (OperationalError, InterfaceError, InternalError, PoolTimeoutError, OSError)
_YET_TO_DO = (UndefinedTable, InsufficientPrivilege)
"""For whoever deploys: no bug, and over when it is done."""

_WHY = {
    "22001": "a text is too long",
    "22003": "a number is too large",
    "22021": "a character is not one of its encoding",
    "22P05": "a character is not one of its encoding",
    "54000": "a text is too long for an index",
}
"""What the database cannot hold, by SQLSTATE. Its own words could repeat what a client said."""
_FULL_QUEUE = "PreCommit_Notify"
"""Where PostgreSQL finds that the queue of NOTIFY is full, which passes, and has the SQLSTATE of what does not."""

_GOING_DOWN = {"57P01", "57P02", "57P03"}
_NOT_BEGUN = {"25006", "26000", "42P05"}
"""SQLSTATEs of statements that this connection's server did not begin, and another may: it only reads, or a pooler has
changed it, with what was prepared there."""
_REPLANNING = "RevalidateCachedQuery"
"""Where PostgreSQL finds that a migration has changed what a prepared statement returns."""


def problem_of(error: BaseException) -> Problem | None:
    """What the client is told; None where the error is a bug's."""
    cause = cause_of(error)
    if isinstance(error, DataError) or _is_too_large(cause):
        return Problem.cannot_be_stored(_WHY.get(getattr(cause, "sqlstate", ""), "a value does not fit"))
    if isinstance(error, _OUTAGES) or isinstance(cause, _YET_TO_DO) or is_of_connection(cause):
        return Unavailable()
    return None


def cause_of(error: BaseException) -> BaseException:
    """What the driver said, where SQLAlchemy has wrapped it."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_of_connection(cause: object) -> bool:
    """Whether the connection, and those that were made with it, are not worth keeping, as in a failover."""
    return may_work_elsewhere(cause) or (isinstance(cause, Error) and cause.sqlstate in _GOING_DOWN)


def may_work_elsewhere(cause: object) -> bool:
    """Whether a statement was not begun, for a reason that another connection need not have."""
    return isinstance(cause, Error) and (cause.sqlstate in _NOT_BEGUN or cause.diag.source_function == _REPLANNING)


def _is_too_large(cause: object) -> bool:
    return isinstance(cause, Error) and cause.sqlstate == "54000" and cause.diag.source_function != _FULL_QUEUE
