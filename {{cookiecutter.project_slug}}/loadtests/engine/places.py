"""Where clients meet: numbers of this run's own, on one of which there is a crowd."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

from locust.env import Environment

from loadtests.engine.users import options_of

_QUIET_PLACES = 20
_PLACES_A_RUN = 1 + _QUIET_PLACES
RUN_NUMBERS = 2**31 // _PLACES_A_RUN
"""A place fits into a column of PostgreSQL's type integer."""
_IN_THE_CROWD, _OF_USERS = 4, 5
_users: defaultdict[type, Iterator[int]] = defaultdict(itertools.count)


def places(environment: Environment) -> range:
    """All of this run's; the first is the crowded one."""
    first = int(options_of(environment).run_number) * _PLACES_A_RUN
    return range(first, first + _PLACES_A_RUN)


def next_place(environment: Environment, kind: type) -> int:
    """Where the next user of a kind goes: four of five into the crowd, the others by turns to the quiet places."""
    group, number = divmod(next(_users[kind]), _OF_USERS)
    return places(environment)[0 if number < _IN_THE_CROWD else 1 + group % _QUIET_PLACES]
