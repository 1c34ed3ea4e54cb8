"""A figure that a venue may change, by date and by name: a fee, a tier, a loan-to-value, a cap, a revision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

from msgspec import Struct

T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")


class Figure(Struct, Generic[T_co], frozen=True):
    """`value` holds until the first instant of `since` (microseconds since 1970, rising), and for each name (a symbol, a base, a token)
    that `by_name` has no figure of its own for."""

    value: T_co
    by_name: Mapping[str, Figure[T_co]] = {}
    since: tuple[tuple[int, T_co], ...] = ()

    def at(self, instant: int = 0, *names: str) -> T_co:
        """What holds at an instant for the first of the names that has its own figure, else for all."""
        for name in names:
            if name in self.by_name:
                return self.by_name[name].at(instant)
        for start, value in reversed(self.since):
            if start <= instant:
                return value
        return self.value

    def named(self, *names: str) -> Figure[T_co]:
        """The figure of the first of the names that has its own, else this one."""
        return next((self.by_name[name] for name in names if name in self.by_name), self)

    @property
    def dates(self) -> tuple[int, ...]:
        """The instants at which it changes, by any name; the first value of a list is not a change, it held before, too."""
        own = (date for date, _ in self.since[1:])
        return (*own, *(date for figure in self.by_name.values() for date in figure.dates))

    def values(self) -> tuple[T_co, ...]:
        """Everything that it ever is, by any name."""
        own = () if self.value is None else (self.value, *(value for _, value in self.since))
        return (*own, *(value for figure in self.by_name.values() for value in figure.values()))

    def map(self, change: Callable[[T_co], S]) -> Figure[S]:
        """Each value changed; where there is none for all, there is none after."""
        value = change(self.value) if self.value is not None else self.value
        by_name = {name: own.map(change) for name, own in self.by_name.items()}
        return Figure(cast("S", value), by_name, tuple((start, change(own)) for start, own in self.since))

    def over(self, public: Figure[T_co]) -> Figure[T_co]:
        """This figure in the place of the public one: by name where it is by name, else for all."""
        return Figure(public.value, {**public.by_name, **self.by_name}, public.since) if self.by_name else self
