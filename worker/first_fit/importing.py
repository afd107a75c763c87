"""Imports interactions from files into the database, and reports every row that it skips."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

from app.db.ledger import lock_ledger, require_subject_key
from app.db.session import Database
from app.interactions import queries
from app.interactions import service as interactions
from app.interactions.service import Ingested, NewInteraction
from app.subjects import SubjectKey
from app.suppressions.queries import readmissions_among
from inputs import InvalidInput
from recommender import (
    Base,
    InteractionData,
    ItemTokenStyle,
    SyntheticConfig,
    generate_synthetic,
    load_interactions,
)
from worker.first_fit.errors import FirstFitError
from worker.first_fit.listener import Listener

MAX_LOST_SHARE = 0.01
_SHOWN = 10
# Events between two reports of the progress.
_AT_A_TIME = 10_000


@dataclass(frozen=True)
class Imported:
    """The subjects in the data: all of them, and those of whom not everything is stored as the data have it.

    ``selected`` are those of the latter who have asked that events be forgotten which the data hold. ``returned`` came
    back after they had been forgotten, and the data hold earlier events of theirs. ``taken_items`` are the items in the
    data that were taken down. All three are complete up to ``epoch``: nobody has compared the data with what was asked
    for later, so that these people and items count as read too.
    """

    mentioned: frozenset[str]
    skipped: frozenset[str] = frozenset()
    selected: frozenset[str] = frozenset()
    returned: frozenset[str] = frozenset()
    taken_items: frozenset[str] = frozenset()
    epoch: int = 0


def read(path: Path | None, seed: int) -> InteractionData:
    """All interactions of the operator, or generated ones if `path` is None.

    Raises:
        DataError: the files hold nothing usable, or more than one row in a hundred is bad.
    """
    return generate_synthetic(SyntheticConfig(seed=seed)) if path is None else load_interactions(path)


def report(loaded: InteractionData, listener: Listener) -> None:
    """Report the warnings about the data, and the rows that were skipped."""
    for warning in loaded.warnings:
        listener.say(f"note: {warning}")
    for row in loaded.rejected[:_SHOWN]:
        listener.say(f"skipped {row.file}:{row.line}: {row.reason}")
    if len(loaded.rejected) > _SHOWN:
        listener.say(f"skipped {len(loaded.rejected) - _SHOWN} more rows")


def require_known_items(data: InteractionData, base: Base, listener: Listener) -> None:
    """Count the events of items that the base does not list, before anything is stored or trained.

    Raises:
        FirstFitError: more than one event in a hundred is of such an item.
    """
    unknown = {
        item_id: events
        for item_id, events in zip(data.catalogue.item_ids, data.events_of_items(), strict=True)
        if events and base.catalogue.index(item_id) is None
    }
    lost = sum(unknown.values())
    if lost > MAX_LOST_SHARE * data.events:
        raise FirstFitError(
            f"{lost} of {data.events} interactions are with {len(unknown)} items that the base model's catalogue.json "
            "does not list, and more than one in a hundred may not be left out; do the item ids match?"
        )
    if lost:
        listener.say(
            f"skipped {lost} interactions with {len(unknown)} items that the base model's catalogue does not list"
        )


def require_ratings(data: InteractionData, base: Base, listener: Listener) -> None:
    """If the base's prompt style needs ratings, report how many events have none and are not read.

    Raises:
        FirstFitError: no event has a rating.
    """
    if not base.style.needs_ratings:
        return
    rated = sum(rating is not None for user in data.ratings for rating in data.ratings[user])
    if not rated:
        raise FirstFitError(
            f"the base's prompt style, {base.style.name}, needs ratings, and no interaction has one: add a column "
            "`rating`"
        )
    if rated < data.events:
        listener.say(
            f"{data.events - rated} interactions have no rating: {base.style.name} reads none of them"
        )


def store(
    database: Database, key: SubjectKey, data: InteractionData, base: Base, listener: Listener
) -> Imported:
    """Store every event of every user, except suppressed users. A repeated call stores nothing twice."""
    with database.unit_of_work() as session:
        require_subject_key(session, key.check)
        # Before the first event is stored: later slices may drop what was asked for after this, earlier ones have not.
        epoch = lock_ledger(session).epoch
    subjects = {user: key.subject(user) for user in data.histories}
    # Store each item id in the spelling of the base's catalogue, which every reader uses.
    indices = [base.catalogue.index(item_id) for item_id in data.catalogue.item_ids]
    known = [None if index is None else base.catalogue.item_ids[index] for index in indices]
    total = sum(
        events for item_id, events in zip(known, data.events_of_items(), strict=True) if item_id is not None
    )
    # A few at a time: all events of a large service, as objects, may not fit into memory.
    arriving = (
        NewInteraction(subjects[user], item_id, event.timestamp, rating)
        for user, history in data.histories.items()
        for event, rating in zip(history, data.ratings.get(user) or repeat(None), strict=False)
        if (item_id := known[event.item]) is not None
    )
    done = Ingested()
    with listener.parts("import") as show:
        for start in range(0, total, _AT_A_TIME):
            show(f"interactions {start}/{total}")
            done += interactions.ingest_in_slices(database, list(islice(arriving, _AT_A_TIME)))
    listener.say(
        f"{len(subjects)} users, {total} interactions ({done.stored} of them new), {len(base.catalogue)} items"
    )
    if done.suppressed:
        listener.say(f"dropped {done.suppressed} interactions of users who have asked to be forgotten")
    if done.taken_down:
        listener.say(
            f"dropped {done.taken_down} interactions with {len(done.taken_items)} items that were taken down"
        )
    skipped = frozenset(key.subject(user) for user in data.skipped_users)
    partly = skipped.union(subjects[user] for user in _read_in_part(database, data, base, subjects))
    # An adapter that was trained on the data has read what is not stored of them.
    return Imported(
        frozenset(subjects.values()) | skipped,
        partly | done.selected | done.of_taken_items,
        done.selected,
        frozenset(_with_earlier_events(database, data, subjects, skipped)),
        done.taken_items,
        epoch,
    )


def _with_earlier_events(
    database: Database, data: InteractionData, subjects: Mapping[str, str], skipped: Collection[str]
) -> Iterator[str]:
    """Those who came back after they had been forgotten, and of whom the data hold, or may hold, earlier events.

    This looks at all events: those of items that the base does not list are not stored, but an adapter may have read
    them.
    """
    with database.read() as session:
        returned = readmissions_among(session, {*subjects.values(), *skipped})
    yield from (subject for subject in skipped if subject in returned)
    for user, history in data.histories.items():
        since = returned.get(subjects[user])
        if since is not None and any(event.timestamp <= since for event in history):
            yield subjects[user]


def _read_in_part(
    database: Database, data: InteractionData, base: Base, subjects: Mapping[str, str]
) -> Iterator[str]:
    """Users of whom an adapter that was trained on these data has read more than is stored, or something else.

    A model that reads text may have read titles that the catalogue does not list. An event that was stored before keeps
    the rating that it had then, or none.
    """
    if isinstance(base.style, ItemTokenStyle):
        return
    known = [base.catalogue.index(item_id) for item_id in data.catalogue.item_ids]
    rated: dict[str, list[tuple[str, float | None]]] = {}
    if base.style.needs_ratings:
        with database.read() as session:
            rated = queries.rated_histories(session, up_to=queries.watermark(session))
    for user, history in data.histories.items():
        if any(known[event.item] is None for event in history):
            yield user
        elif base.style.needs_ratings:
            theirs = {
                (base.catalogue.item_ids[index], rating)
                for event, rating in zip(history, data.ratings.get(user) or repeat(None), strict=False)
                if rating is not None and (index := known[event.item]) is not None
            }
            if not theirs <= set(rated.get(subjects[user], ())):
                yield user


def read_ids(path: Path, key: SubjectKey) -> frozenset[str]:
    """The subjects of a file with one user id per line.

    Raises:
        FirstFitError: the file cannot be read, or a line is no id.
    """
    try:
        # Not splitlines(), which also splits at characters that are no line ends here and that no id may contain.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise FirstFitError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FirstFitError(f"cannot read {path}: it is not UTF-8") from error
    found = set()
    for number, line in enumerate((line.removesuffix("\r") for line in lines), start=1):
        if not line.strip(" \t"):
            continue
        try:
            found.add(key.subject(line))
        except InvalidInput as error:
            raise FirstFitError(f"{path}, line {number}: the user id {error}") from error
    return frozenset(found)
