"""The gate: never more inside than places, first come first served, a signal loses no place."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from jobs.gate import Gate


@pytest.mark.parametrize("places", [1, 3])
def test_no_more_than_its_places_and_in_order(places: int) -> None:
    gate, inside, most, order = Gate(places), 0, 0, []
    mutex = threading.Lock()

    def visit(number: int) -> None:
        nonlocal inside, most
        with gate:
            with mutex:
                inside += 1
                most = max(most, inside)
                order.append(number)
            time.sleep(0.002)
            with mutex:
                inside -= 1

    for _ in range(places):
        gate.__enter__()
    threads = []
    for number in range(30):
        thread = threading.Thread(target=visit, args=(number,))
        thread.start()
        threads.append(thread)
        while len(gate._queue) <= number:
            time.sleep(0.0005)
    for _ in range(places):
        gate.__exit__()
    for thread in threads:
        thread.join(10)
    assert most == places
    assert len(order) == 30
    if places == 1:
        assert order == list(range(30))
    # One that was let in may be overtaken by those in the other places before it says so; without
    # any order this would be some 300.
    assert sum(abs(number - place) for place, number in enumerate(order)) < 150


def test_one_who_is_interrupted_while_waiting_leaves_the_queue() -> None:
    class Signal(Exception):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Signal

    gate = Gate(1)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        gate.__enter__()
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Signal), gate:
            pass
        gate.__exit__()
        with gate:
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
