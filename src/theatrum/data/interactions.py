"""Interactions of users with items, as recommenders are measured on: who used what, when, and how it was rated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theatrum.checks import check_ids
from theatrum.data.collection import Document


@dataclass(frozen=True)
class Interactions:
    """A catalogue of items, and a log of who used which of them and when.

    Ids are keys and titles are not: two items may have the same title.

    Parameters
    ----------
    name : str
        What to call it.
    catalogue : tuple of Document
        Every item, also those that nobody used: title, metadata in words as text, and attributes to filter on.
    users, items : ndarray of str, shape (n,)
        Ids, one interaction a row, in file order.
    ratings : ndarray of float64, shape (n,)
        As published.
    times : ndarray of int64, shape (n,)
        Seconds since 1970.
    citation, licence : str
        Whom to cite, and on which terms it may be used.

    Raises
    ------
    ValueError
        Columns of different length, an item id that is there twice, or an interaction with an unknown item.

    Examples
    --------
    >>> films = (Document("a", "War, Sci-Fi", "Alien", {"year": 1979}), Document("b", "Drama", "Emma", {"year": 1996}))
    >>> log = Interactions("two", films, ["u", "u", "v"], ["a", "b", "b"], [5, 2, 4], [10, 20, 30])
    >>> log.item_texts, log.item_attributes
    (['Alien. War, Sci-Fi', 'Emma. Drama'], {'year': [1979, 1996]})
    >>> log.of_users(["v"]).items.tolist()
    ['b']
    """

    name: str
    catalogue: tuple[Document, ...]
    users: NDArray[np.object_]
    items: NDArray[np.object_]
    ratings: NDArray[np.float64]
    times: NDArray[np.int64]
    citation: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        for column, kind in (("users", object), ("items", object), ("ratings", np.float64), ("times", np.int64)):
            object.__setattr__(self, column, np.asarray(getattr(self, column), dtype=kind))
        lengths = {len(self.users), len(self.items), len(self.ratings), len(self.times)}
        if len(lengths) > 1:
            raise ValueError(f"{self.name}: users, items, ratings and times differ in length: {sorted(lengths)}")
        known = set(check_ids(self.item_ids, len(self.catalogue)))
        row = next((row for row, item in enumerate(self.items) if item not in known), None)
        if row is not None:
            raise ValueError(f"{self.name}: row {row} is about the item {self.items[row]!r}, not in the catalogue")

    def __len__(self) -> int:
        """Number of interactions."""
        return len(self.users)

    @property
    def item_ids(self) -> list[str]:
        """Ids of the catalogue, in its order."""
        return [item.id for item in self.catalogue]

    @property
    def item_texts(self) -> list[str]:
        """Text of each item for an encoder: title, full stop, metadata."""
        return [f"{item.title}. {item.text}" if item.text else item.title for item in self.catalogue]

    @property
    def item_attributes(self) -> dict[str, list[Any]]:
        """Attributes of the catalogue as columns; None where an item lacks one."""
        columns = dict.fromkeys(name for item in self.catalogue for name in item.attributes)
        return {name: [item.attributes.get(name) for item in self.catalogue] for name in columns}

    def of_users(self, users: Iterable[str]) -> Interactions:
        """Keep the interactions of some users; the catalogue stays whole.

        Raises
        ------
        ValueError
            A user without any interaction.
        """
        wanted = set(users)
        unknown = wanted - set(self.users)
        if unknown:
            raise ValueError(f"{self.name}: the user {min(unknown)!r} has no interaction")
        kept = np.array([user in wanted for user in self.users], dtype=bool)
        return replace(
            self,
            users=self.users[kept],
            items=self.items[kept],
            ratings=self.ratings[kept],
            times=self.times[kept],
        )
