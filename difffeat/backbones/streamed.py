"""What a running function hands out, one thing at a time: for a pass that cannot be halted by its caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue


class _Left(BaseException):
    """Ends a function whose reader wants no more; not an Exception, so that nothing on the way stops it."""


def streamed(run: Callable[[Callable[[object], None]], None]) -> Iterator[object]:
    """Yield what a function emits, while it waits: it goes on when the next thing is asked for.

    The function runs in a thread of its own, in turns with the reader and never beside it. Nothing is kept
    but what was handed out last, however much there is. Where the reader stops reading, the function ends at
    what it hands out next.

    Parameters
    ----------
    run : callable that takes `emit`, and calls it with one thing after the other

    Yields
    ------
    What was emitted, in that order

    Raises
    ------
    What the function raises, when its turn has come.
    """
    given, turn, left = SimpleQueue(), threading.Semaphore(0), threading.Event()

    def wait():
        turn.acquire()
        if left.is_set():
            raise _Left

    def emit(thing):
        given.put((thing, None, False))
        wait()

    def work():
        try:
            wait()
            run(emit)
        except _Left:
            return
        except BaseException as error:
            given.put((None, error, True))
        else:
            given.put((None, None, True))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            turn.release()
            thing, error, ended = given.get()
            if error is not None:
                raise error
            if ended:
                return
            yield thing
    finally:
        left.set()
        turn.release()
        thread.join()
