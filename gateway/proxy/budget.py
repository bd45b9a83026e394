"""How often a worker may send a request once more. Pure: the moment comes in as an argument, in monotonic seconds.

Law: in any ten seconds, the further tries that were not answered are no more than a fifth of the requests that came, or
three for each second, whichever is more. So where everything fails, at most a fifth more is sent than the callers sent;
and a base that answers may answer for a candidate every time, which sends nobody more than its callers did.
"""

from __future__ import annotations

SHARE = 0.2
AT_LEAST_PER_S = 3
WINDOW_S = 10


class Budget:
    """One worker's: requests come in with `count`, and every further try is asked for with `take`."""

    __slots__ = ("_again", "_asked", "_second")

    def __init__(self) -> None:
        self._asked = [0] * WINDOW_S
        self._again = [0] * WINDOW_S
        self._second = 0

    def count(self, now: float) -> None:
        """Note a request."""
        self._asked[self._place(now)] += 1

    def take(self, now: float) -> bool:
        """Spend one try more; False, and nothing spent, when there is none."""
        place = self._place(now)
        if sum(self._again) + 1 > max(SHARE * sum(self._asked), AT_LEAST_PER_S * WINDOW_S):
            return False
        self._again[place] += 1
        return True

    def answered(self, now: float) -> None:
        """Give back what a try cost that brought an answer; it counts for the ten seconds from its answer on."""
        self._again[self._place(now)] -= 1

    def _place(self, now: float) -> int:
        """Return the present second's place, after emptying those that have passed unused."""
        second = int(now)
        for passed in range(max(self._second, second - WINDOW_S) + 1, second + 1):
            self._asked[passed % WINDOW_S] = self._again[passed % WINDOW_S] = 0
        self._second = max(second, self._second)
        return second % WINDOW_S
