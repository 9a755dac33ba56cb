"""Stop signals of a whole run: whenever they come and however often, the process ends as if it had been one, later."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[None]:
    """End the block by SystemExit(0) when one comes, and ignore them all from there to the end of the process.

    A server that runs in the block has handlers of its own. What matters is before and after: when Python takes itself
    apart it gives signals back to the system, which ends the process with their number instead of 0.
    """
    before = {each: signal.getsignal(each) for each in STOP_SIGNALS}
    for each in STOP_SIGNALS:
        if before[each] is not signal.SIG_IGN:  # nohup
            signal.signal(each, _stop)
    try:
        yield
    except SystemExit:
        ignore_stop_signals()
        raise
    except BaseException:
        for each, handler in before.items():
            signal.signal(each, handler)
        raise


def ignore_stop_signals() -> None:
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    ignore_stop_signals()
    raise SystemExit(0)
