"""What many ask for at the same time is asked of the store in one go, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import users, views
from latency_tables.table import TableError
from service.http.bodies import SubmitBody
from service.http.submitting import Submitting, taking
from service.http.together import Together
from service.instance import open_instance
from service.spec import SpecError


def test_what_comes_in_meanwhile_is_asked_in_one_go() -> None:
    calls: list[list[int]] = []
    first = threading.Event()

    def double(questions: Sequence[int]) -> list[int | Exception]:
        calls.append(list(questions))
        first.wait(10)
        return [ValueError(f"{q} is odd") if q % 2 else 2 * q for q in questions]

    async def ask() -> list[int | BaseException]:
        together = Together(double, 4)
        asked = [asyncio.create_task(together.ask(q)) for q in range(8)]
        await asyncio.sleep(0.05)
        asked += [asyncio.create_task(together.ask(q)) for q in (8, 10)]
        first.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(ask())
    assert [q for q in found if isinstance(q, int)] == [0, 4, 8, 12, 16, 20]
    assert [str(q) for q in found if not isinstance(q, int)] == [
        f"{q} is odd" for q in (1, 3, 5, 7)
    ]
    assert [q for call in calls for q in call] == [*range(8), 8, 10]
    assert max(map(len, calls)) == 4


def test_a_call_that_fails_fails_for_those_who_asked_and_the_next_works() -> None:
    broken = [True]

    def call(questions: Sequence[int]) -> list[int]:
        if broken.pop():
            raise OSError("no store")
        return list(questions)

    async def ask() -> int:
        together = Together(call, 4)
        with pytest.raises(OSError, match="no store"):
            await together.ask(1)
        broken.append(False)
        return await together.ask(2)

    assert asyncio.run(ask()) == 2


def test_nobody_is_forgotten_between_two_calls() -> None:
    """A question that comes just as the last call ends begins one of its own."""

    async def ask() -> int:
        together: Together[int, int] = Together(list, 3)

        async def client(number: int) -> int:
            return sum([await together.ask(number) for _ in range(200)])

        return sum(await asyncio.gather(*(client(1) for _ in range(5))))

    assert asyncio.run(asyncio.wait_for(ask(), 60)) == 1000


def test_whoever_left_changes_nothing_for_the_others() -> None:
    gate = threading.Event()

    def call(questions: Sequence[int]) -> list[int]:
        gate.wait(10)
        return list(questions)

    async def ask() -> int:
        together = Together(call, 1)
        gone, stays = (asyncio.create_task(together.ask(q)) for q in (1, 2))
        await asyncio.sleep(0.05)
        gone.cancel()
        gate.set()
        return await stays

    assert asyncio.run(ask()) == 2


def test_a_body_that_cannot_be_planned_harms_nobody_else(tmp_path: Path) -> None:
    instance = open_instance(tmp_path)
    users.ensure(instance.database, "ann")
    limits = {"limits": {"further": {"other": {"table": "no-such-table", "latency_ms": 1.0}}}}
    changes: list[dict[str, Any]] = [{}, limits, {"seed": -1}, {}]
    sent = [
        Submitting(body=SubmitBody(preset="quickstart", changes=some), user="ann", key=None)
        for some in changes
    ]
    found = taking(instance.database)(sent)
    assert [type(one) for one in found] == [tuple, TableError, SpecError, tuple]
    assert len(views.page(instance.database).jobs) == 2
    instance.database.close()
