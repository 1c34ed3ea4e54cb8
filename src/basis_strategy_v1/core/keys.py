"""Keys for instructions that come without an id, and which of them were used."""

from __future__ import annotations

from bisect import bisect_right


class Keys:
    """Gives keys `<run><instant>-<number>`, the instant in hex: the same in each run of the same blocks, and no two alike.

    `key in keys` says whether it was given and is in use. What is remembered grows with the instants, not with the keys.
    """

    def __init__(self, run: str = "") -> None:
        self._run = run
        self._count = 0
        self._instant: int | None = None
        self._stem = ""
        self._stems: list[str] = []
        self._firsts: list[int] = []  # the number of the first key of each stem
        self._unused: set[str] = set()

    def next(self, instant: int) -> str:
        """A key for an instruction at an instant, in microseconds since 1970."""
        self._count = number = self._count + 1
        if instant != self._instant:
            self._instant, self._stem = instant, f"{self._run}{instant:x}-"
            self._stems.append(self._stem)
            self._firsts.append(number)
        return f"{self._stem}{number}"

    def withdraw(self, key: str) -> None:
        """Nothing came of this key; it is not given again."""
        self._unused.add(key)

    def forget(self) -> None:
        """None of the keys so far is in use any more; they are not given again."""
        self._instant = None
        self._stems.clear()
        self._firsts.clear()
        self._unused.clear()

    def __contains__(self, key: str) -> bool:
        number = key.rpartition("-")[2]
        if not number.isdecimal() or len(number) > len(str(self._count)) or int(number) > self._count:
            return False
        place = bisect_right(self._firsts, int(number)) - 1
        return place >= 0 and f"{self._stems[place]}{int(number)}" == key and key not in self._unused
