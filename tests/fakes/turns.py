"""Workers that share cells and are interrupted between any two reads and writes, in an order that the test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import overload

from gateway.proxy.limits import ROW_CELLS, Sheet

WAIT_S = 20.0


class _Actor:
    """A thread that goes on by one step whenever it is told to."""

    def __init__(self, script: Callable[[], None]) -> None:
        self.is_over = False
        self.error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Go on to the next access to a cell, or to the end."""
        self._go.release()
        assert self._paused.acquire(timeout=WAIT_S)
        if self.error is not None:
            raise self.error

    def pause(self) -> None:
        """Wait for the next turn."""
        self._paused.release()
        assert self._go.acquire(timeout=WAIT_S)

    def _run(self, script: Callable[[], None]) -> None:
        assert self._go.acquire(timeout=WAIT_S)
        try:
            script()
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            self.error = error
        self.is_over = True
        self._paused.release()


class Stepped:
    """Shared cells as one worker sees them: before each single read and write, others may have their turn."""

    def __init__(self, cells: list[int]) -> None:
        self._cells = cells
        self.actor: _Actor | None = None

    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> Iterable[int]: ...
    def __getitem__(self, at: int | slice, /) -> int | Iterable[int]:
        return self._each(at) if isinstance(at, slice) else self._cells[at]

    def __setitem__(self, at: int, value: int, /) -> None:
        self._pause()
        self._cells[at] = value

    def _each(self, at: slice) -> Iterator[int]:
        for one in range(*at.indices(len(self._cells))):
            self._pause()
            yield self._cells[one]

    def _pause(self) -> None:
        if self.actor is not None:
            self.actor.pause()


class Stage:
    """So many workers on one sheet."""

    def __init__(self, workers: int) -> None:
        cells = [0] * (workers * ROW_CELLS)
        self._views = [Stepped(cells) for _ in range(workers)]
        self.sheets = [Sheet(view, row, [workers]) for row, view in enumerate(self._views)]

    def play(self, scripts: Sequence[Callable[[], None]], turns: Iterable[int], check: Callable[[], None]) -> None:
        """Run all scripts to their end; each of `turns` says whose the next step is, then they go round."""
        actors = [_Actor(script) for script in scripts]
        for view, actor in zip(self._views, actors, strict=True):
            view.actor = actor
        for turn in turns:
            self._step(actors, turn, check)
        while not all(actor.is_over for actor in actors):
            for turn in range(len(actors)):
                self._step(actors, turn, check)
        for view in self._views:
            view.actor = None

    @staticmethod
    def _step(actors: Sequence[_Actor], turn: int, check: Callable[[], None]) -> None:
        actor = actors[turn % len(actors)]
        if not actor.is_over:
            actor.step()
            check()
