# SPDX-License-Identifier: MIT
"""Serving in batches: which requests go together, and who gets which answer.

What is in hand when this process dies is redelivered, and each redelivered request is
run alone, before anything else that is in hand: so a request that kills its server does
so alone from then on, and none has to bear the death of another one twice."""

from __future__ import annotations

import contextlib
import math
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tensoring import _core
from tensoring._arena.batch import (
    BAD,
    UNAVAILABLE,
    Batch,
    Form,
    Item,
    Kind,
    Refused,
    check_rows,
    failure_of,
    rows_of,
)
from tensoring._arena.refusal import DAMAGED, FAILED, described, refuse
from tensoring._arena.waitset import WaitSet
from tensoring._errors import ClosedError, CorruptError, Empty, Full

if TYPE_CHECKING:
    from tensoring._arena.queue import ArenaQueue

_NOTHING = object()
_SPIN = 0.0005  # seconds of a wait that costs less than one in a wait set
_NO_SLOT = 0.05  # seconds that an answer waits for a free slot; a batch four times that


class HasFileno(Protocol):
    """A file, a socket."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


class Source:
    """The requests of a queue, until it is shut down, or it is time to stop: then those
    that are in the queue by that time."""

    def __init__(
        self, queue: ArenaQueue, stop: int | HasFileno | _core.Worker | None
    ) -> None:
        self._queue = queue
        self._set: WaitSet | None = None
        self._selector: selectors.BaseSelector | None = None
        self._left: int | None = None  # that are still to be taken; None: any number
        self._damaged = 0
        self._stopping: Callable[[], object] = bool
        if stop is None:
            return
        if isinstance(stop, _core.Worker):
            waited: Any = stop
            self._stopping = waited.stopping
        else:
            waited = stop if isinstance(stop, int) else stop.fileno()
            selector = self._selector = selectors.DefaultSelector()
            selector.register(waited, selectors.EVENT_READ)
            self._stopping = lambda: selector.select(0)
        self._set = WaitSet._of(queue.arena)
        self._set.add(queue)
        self._set.add(waited)

    def close(self) -> None:
        """Serve no longer."""
        if self._set is not None:
            self._set.close()
        if self._selector is not None:
            self._selector.close()

    def look(self) -> None:
        """See whether it is time to stop."""
        if self._left is None and self._stopping():
            self._left = len(self._queue)

    def take(self) -> _core.Message | None:
        """The next one that is there."""
        while self._left is None or self._left > 0:
            try:
                found = self._queue._take_message(_NOTHING)
            except ClosedError:
                self._left = 0
                break
            except CorruptError:  # its requester has been told
                self._count_damaged()
                continue
            if found is _NOTHING:
                self._left = self._left and 0
                break
            self._damaged = 0
            if self._left is not None:
                self._left -= 1
            return found  # type: ignore[no-any-return]
        return None

    def _count_damaged(self) -> None:
        self._damaged += 1
        if self._damaged > DAMAGED:
            raise

    def wait(self, until: float | None) -> _core.Message | None:
        """The next one; None if none comes in time, or at the end."""
        found = self.take()
        while found is None and self._left is None:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                break
            found = self._sleep(left)
        return found

    def _sleep(self, left: float | None) -> _core.Message | None:
        """One wait, which may end early."""
        some = left if self._set is None or (left or 1) < _SPIN else _SPIN
        try:
            return self._queue.receive_message(some)
        except Empty:
            pass
        except ClosedError:
            self._left = 0
        except CorruptError:
            self._count_damaged()
        if self._set is not None and self._left is None:
            self._set.wait(left)
        self.look()
        return self.take()


class _Pile:
    """Requests of one kind, oldest first."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.rows = 0
        self.size = 0  # bytes of the longest row
        self.until = math.inf  # when the first of them has waited enough

    def put(self, item: Item) -> None:
        self.items.append(item)
        self.rows += item.rows
        self.size = max(self.size, item.size)
        self.until = min(self.until, item.until)

    def take(self, form: Form) -> list[Item]:
        """As many as fit. What nobody waits for any more is left out. A request that is
        too large for others goes alone, as it is."""
        found: list[Item] = []
        rows = size = 0
        while self.items:
            item = self.items[0]
            longest = max(size, item.size)
            if found and not form.fits(rows + item.rows, longest):
                break
            self.items.popleft()
            self.rows -= item.rows
            if not item.over:
                rows, size = rows + item.rows, longest
                found.append(item)
        self.size = max((item.size for item in self.items), default=0)
        self.until = min((item.until for item in self.items), default=math.inf)
        return found


# A message with the answer, or the code and the text of an error.
Answer: TypeAlias = _core.Message | tuple[int, str] | None  # None: it is sent


class Batches:
    """Answers requests in batches."""

    def __init__(
        self, queue: ArenaQueue, predict: Callable[[Batch], Any], form: Form, wait: float
    ) -> None:
        self._queue = queue
        self._predict = predict
        self._form = form
        self._wait = wait
        self._hand: dict[Kind, _Pile] = {}
        self._rows = 0  # in hand
        self._patience = 0.0
        self._job_done: Callable[[], object] | None = None
        self._leave: BaseException | None = None  # when what is in hand is answered
        self.answered = 0

    def run(self, stop: int | HasFileno | _core.Worker | None) -> int:
        """Until the end; how many requests were answered."""
        source = Source(self._queue, stop)
        self._job_done = getattr(stop, "job_done", None)
        source.look()
        try:
            while self._gather(source):
                self._answer(self._choose())
                self._leave_if_told()
                source.look()
        finally:
            source.close()
        return self.answered

    # ---- what is in hand

    def _gather(self, source: Source) -> bool:
        """Whether there is a batch."""
        while not self._hand:
            request = source.wait(None)
            if request is None:
                return False
            self._admit(request)
            del request
        oldest = self._oldest()
        while self._wants(oldest):
            request = source.wait(self._until()) if self._wait else source.take()
            if request is None:
                break
            self._admit(request)
            del request
        return True

    def _wants(self, oldest: _Pile) -> bool:
        """Whether there may be more in the batch, and more in hand."""
        most = self._form.most
        more = oldest.rows < most and self._form.fits(oldest.rows + 1, oldest.size)
        return more and self._rows - oldest.rows < most

    def _admit(self, request: _core.Message) -> None:
        """Take it into the hand, or answer it at once."""
        if not request.is_request or request.remaining == 0:
            return  # nobody waits for it, or no longer
        item = self._read(request)
        if item is None:
            return
        if request.deliveries:
            self._answer([item])
            self._leave_if_told()
            return
        self._hand.setdefault(item.kind, _Pile()).put(item)
        self._rows += item.rows

    def _read(self, request: _core.Message) -> Item | None:
        try:
            return Item(request, self._form, self._wait)
        except Refused as error:
            refuse(request, str(error), error.status)
        except Exception as error:  # it is not what it says
            refuse(request, described(error), BAD)
        self._count()
        return None

    def _oldest(self) -> _Pile:
        return min(self._hand.values(), key=lambda pile: pile.items[0].since)

    def _until(self) -> float:
        """How long to wait for more: no request may lose its time to it."""
        return min(pile.until for pile in self._hand.values())

    def _choose(self) -> list[Item]:
        """The oldest, and what goes with it."""
        pile = self._oldest()
        self._rows -= pile.rows
        chosen = pile.take(self._form)
        self._rows += pile.rows
        self._hand = {kind: one for kind, one in self._hand.items() if one.items}
        return chosen

    def _leave_if_told(self) -> None:
        """Raise what predict() has raised to end this process, such as SystemExit, after
        the answers to all requests in hand."""
        if self._leave is None:
            return
        while self._hand:
            self._answer(self._choose())
        raise self._leave

    # ---- answers

    def _answer(self, items: list[Item]) -> None:
        if items and not self._run(items, len(items) == 1):
            for item in items:
                if not item.over:
                    self._run([item], True)

    def _run(self, items: list[Item], last: bool) -> bool:
        """One call of predict(). False: it has failed, and is not the last try."""
        batch = result = None
        try:
            batch = self._form.batch(items)
            self._queue._note_batch(len(batch))
            result = self._predict(batch)
            check_rows(result, batch)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if not isinstance(error, Exception):  # without what its frames hold
                self._leave = error.with_traceback(None)
            if not last:
                return False
            self._end(items[0], (FAILED, described(error)))
            return True
        answers = self._answers(items, batch, result)
        if self._form.ragged == "list" or len(items) == 1:
            answers = iter(list(answers))  # before the first of these requests is gone
        del batch, result
        for item, answer in answers:
            self._end(item, answer)
        return True

    def _answers(
        self, items: list[Item], batch: Batch, result: Any
    ) -> Iterator[tuple[Item, Answer]]:
        self._patience = 4 * _NO_SLOT
        first = 0
        for item in items:
            yield item, self._answer_of(item, first, batch, result)
            first += item.rows

    def _answer_of(self, item: Item, first: int, batch: Batch, result: Any) -> Answer:
        try:
            failure = failure_of(batch, result, first, item)
            return failure or self._encode(rows_of(result, first, item), item)
        except Exception as error:  # the result has a length, and no rows
            return FAILED, described(error)

    def _encode(self, rows: Any, item: Item) -> Answer:
        arena = self._queue.arena
        try:
            with contextlib.suppress(Full):
                return arena._encode(rows, 0)
            if item.request._reply_reusing(rows):
                return None
            left = item.request.remaining
            wait = min(_NO_SLOT, self._patience, _NO_SLOT if left is None else left)
            return arena._encode(rows, wait)
        except Full:
            # The slot of the request that ends so may be the next answer's.
            self._patience -= wait
            return UNAVAILABLE, "the arena has no free slot for the answer"

    def _end(self, item: Item, answer: Answer) -> None:
        request = item.request
        self._count()
        if isinstance(answer, tuple):
            refuse(request, answer[1], answer[0])
            return
        if answer is None:
            return
        try:
            # If predict() kept a view of its batch, this says so.
            request.reply(answer)
        except Exception as error:
            if request.released:
                raise
            refuse(request, described(error))

    def _count(self) -> None:
        self.answered += 1
        if self._job_done is not None:
            self._job_done()
