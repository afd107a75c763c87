"""Users of whom an operator's adapter has read something else than what is stored."""

from __future__ import annotations

from dataclasses import replace

from app.db.session import Database
from app.interactions.service import NewInteraction, ingest
from app.subjects import SubjectKey
from recommender import Base, Catalogue, Event, InteractionData, PromptStyle
from recommender.text_base import TextBaseConfig, build_text_base, letters_style, yes_no_style
from recommender.training import TrainingConfig
from tests.listening import Heard
from worker.first_fit.importing import store

KEY = SubjectKey(b"a secret of at least thirty-two bytes")
ITEMS = Catalogue(tuple(f"i{item}" for item in range(6)), tuple(f"Title {item}" for item in range(6)))
DATA = InteractionData(
    catalogue=ITEMS,
    histories={user: tuple(Event(item, 10 + item) for item in range(4)) for user in ("a", "b")},
    ratings=dict.fromkeys(("a", "b"), (5.0, 1.0, 4.0, 2.0)),
)


def base_with(style: PromptStyle, catalogue: Catalogue) -> Base:
    shape = TextBaseConfig(layers=1, width=8, heads=1, feed_forward=8)
    events = [style.event(item, 5.0) for item in range(4)]
    model = build_text_base(style, [events], shape, TrainingConfig(epochs=1, patience=None))
    return Base(model, catalogue, style, "0" * 64)


def subjects(*users: str) -> frozenset[str]:
    return frozenset(KEY.subject(user) for user in users)


def test_an_event_that_was_stored_with_another_rating_was_read_as_something_else(database: Database) -> None:
    base = base_with(yes_no_style(ITEMS, first_target=1), ITEMS)
    with database.unit_of_work() as session:
        ingest(
            session,
            [
                NewInteraction(KEY.subject("a"), "i1", 11),
                NewInteraction(KEY.subject("b"), "i1", 11, 1.0),
            ],
        )
    imported = store(database, KEY, DATA, base, Heard())
    assert imported.mentioned == subjects("a", "b")
    assert imported.skipped == subjects("a")


def test_a_text_model_may_have_read_titles_that_the_catalogue_does_not_list(database: Database) -> None:
    fewer = ITEMS.first(5)
    more = (*DATA.histories["a"], Event(5, 20))
    data = replace(DATA, histories={**DATA.histories, "a": more}, ratings={})
    imported = store(database, KEY, data, base_with(letters_style(fewer, labels="AB"), fewer), Heard())
    assert imported.skipped == subjects("a")
