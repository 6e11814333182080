"""`Together`: what many requests ask for at the same time is asked of the store in one go.

While a call is under way, what comes in waits for the next one; alone, nothing waits. An answer
always comes from a call that began after the question.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class Together(Generic[Asked, Found]):
    """Used from one event loop.

    Args:
        call: answers several questions, in their order, in a thread; an exception among the
            answers is raised for its question, one that it raises for all of them.
        most: questions of one call.
    """

    def __init__(
        self, call: Callable[[Sequence[Asked]], Sequence[Found | Exception]], most: int
    ) -> None:
        self._call, self._most = call, most
        self._waiting: deque[tuple[Asked, asyncio.Future[Found]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def ask(self, question: Asked) -> Found:
        """The answer to one question."""
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                count = min(self._most, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(count)]
                _tell(taken, await self._answers([question for question, _ in taken]))
        finally:
            # Here, and not when the task is seen to be done: a question in between would wait.
            self._working = None

    async def _answers(self, questions: list[Asked]) -> Sequence[Found | Exception]:
        try:
            answers = await run_in_threadpool(self._call, questions)
            assert len(answers) == len(questions)
            return answers
        except Exception as error:  # whatever it is: it belongs to those who asked
            return [error] * len(questions)


def _tell(
    taken: Sequence[tuple[Asked, asyncio.Future[Found]]], answers: Sequence[Found | Exception]
) -> None:
    for (_, future), answer in zip(taken, answers, strict=True):
        if future.done():  # who asked is gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
