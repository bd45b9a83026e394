"""How often a worker may send a route's requests once more. Pure: moments are arguments, in monotonic seconds.

Law: a kind of try of which more than a fifth came to nothing lately is not begun while all that came to nothing in
the last ten seconds is a fifth of the requests that came, or three for each of these seconds, whichever is more;
those under way count by how many of the last ones came to nothing. So where everything fails, a fifth more is sent
than callers sent, and once, at the first failures, what was under way; and a base that answers, however slowly, may
answer for its candidate every time.
"""

from __future__ import annotations

import operator

SHARE = 0.2
AT_LEAST_PER_S = 3
WINDOW_S = 10
LEARNS = 8
"""A try that ends moves the doubt about those under way by this part of what is missing to its own end."""
FORGETS_S = 60.0
"""After so long without any try, nothing is known of the next one."""


AGAIN, INSTEAD = range(2)
"""Kinds of tries: the same arm once more, and base in the candidate's place."""


class Budget:
    """One worker's, for one route: requests come in with `count`, and every further try is asked for with `take`.

    A try that was taken ends once: by `answered`, `failed`, or `left` where its caller went away.
    """

    __slots__ = ("_asked", "_doubts", "_ended_at", "_failed", "_second", "_under_way")

    def __init__(self) -> None:
        self._asked = [0] * WINDOW_S
        self._failed = [0] * WINDOW_S
        self._second = 0
        self._under_way = [0, 0]
        self._doubts = [0.0, 0.0]
        self._ended_at = [0.0, 0.0]

    def count(self, now: float) -> None:
        """Note a request."""
        self._asked[self._place(now)] += 1

    def take(self, kind: int, now: float) -> bool:
        """Begin one try more; False, and nothing begun, when it may not be."""
        if not self._under_way[kind] and now - self._ended_at[kind] > FORGETS_S:
            self._doubts[kind] = 0.0
        if self._doubts[kind] > SHARE and not self._has_room(self._doubts[kind], now):
            return False
        self._under_way[kind] += 1
        return True

    def answered(self, kind: int, now: float) -> None:
        """End a try whose answer goes out to the caller."""
        self._end(kind, now, 0.0)

    def failed(self, kind: int, now: float) -> None:
        """End a try that came to nothing."""
        self._failed[self._place(now)] += 1
        self._end(kind, now, 1.0)

    def left(self, kind: int) -> None:
        """End a try that nobody waits for any more: it tells nothing."""
        self._under_way[kind] -= 1

    def _end(self, kind: int, now: float, in_vain: float) -> None:
        self._under_way[kind] -= 1
        self._doubts[kind] += (in_vain - self._doubts[kind]) / LEARNS
        self._ended_at[kind] = now

    def _has_room(self, doubt: float, now: float) -> bool:
        """Tell whether one more may come to nothing, as it does with this probability."""
        self._place(now)
        in_vain = sum(self._failed) + sum(map(operator.mul, self._under_way, self._doubts))
        most = max(SHARE * sum(self._asked), AT_LEAST_PER_S * self._seconds())
        return in_vain < most and in_vain + doubt <= most

    def _seconds(self) -> int:
        """Return over how many of the last ten seconds requests have come by now, from the first of them on."""
        first = range(max(self._second - WINDOW_S + 1, 0), self._second + 1)
        return next((self._second - one + 1 for one in first if self._asked[one % WINDOW_S]), 1)

    def _place(self, now: float) -> int:
        """Return the present second's place, after emptying those that have passed unused."""
        second = int(now)
        for passed in range(max(self._second, second - WINDOW_S) + 1, second + 1):
            self._asked[passed % WINDOW_S] = self._failed[passed % WINDOW_S] = 0
        self._second = max(second, self._second)
        return second % WINDOW_S
