"""Whether the operator held the same events out of training as Lethe does."""

from __future__ import annotations

from itertools import repeat

from recommender import Base, InteractionData
from worker.first_fit.listener import Listener

_HELD_OUT = 2


def report_other_splits(data: InteractionData, base: Base, listener: Listener) -> None:
    """Compare the files' `split` column with the users' last two events, which Lethe holds out.

    Events count as in a fit: those of items that the base lists, with a rating where its style needs ratings.

    Where the operator's adapter has read events that are held out here, users look better known on them than they are,
    and a re-fit does not read them; where it has not read earlier events, a re-fit reads more than it did.
    """
    read_late = unread_early = 0
    late, early = set(), set()
    known = [base.catalogue.index(item_id) is not None for item_id in data.catalogue.item_ids]
    for user, own in data.splits.items():
        ratings = data.ratings.get(user) or repeat(None)
        splits = [
            split
            for event, rating, split in zip(data.histories[user], ratings, own, strict=False)
            if known[event.item] and (rating is not None or not base.style.needs_ratings)
        ]
        if len(splits) <= _HELD_OUT:
            continue
        trained_on = sum(split == "train" for split in splits[-_HELD_OUT:])
        left_out = sum(split in ("valid", "test") for split in splits[:-_HELD_OUT])
        read_late, unread_early = read_late + trained_on, unread_early + left_out
        late |= {user} if trained_on else set()
        early |= {user} if left_out else set()
    if read_late:
        listener.say(
            f"note: the split column says `train` of {read_late} events among the last two of {len(late)} users; Lethe "
            "holds these out: an adapter that was trained on them is compared with fits that were not"
        )
    if unread_early:
        listener.say(
            f"note: the split column says `valid` or `test` of {unread_early} earlier events of {len(early)} users; "
            "Lethe trains on everything but the last two"
        )
