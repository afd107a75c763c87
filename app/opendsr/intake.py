"""Whom an OpenDSR request is about, and who is told of it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.errors import value_refused
from app.opendsr.schemas import SubjectRequest
from app.opendsr.service import takes_callbacks
from app.opendsr_settings import IdentityType
from app.webhooks import queries as webhooks
from app.webhooks.addresses import UrlRefused, parse_target
from inputs import InvalidInput, identifier


def asked_for(body: SubjectRequest, type_: IdentityType) -> str:
    """The user's id: the one identity of this type, unhashed. Identities of other types are the same person's.

    Raises:
        Problem: 422, there is none, it is no id, or several name different people.
    """
    found = set()
    for number, identity in enumerate(body.subject_identities):
        if (identity.identity_type, identity.identity_format) != (type_, "raw"):
            continue
        try:
            found.add(identifier(identity.identity_value))
        except InvalidInput as error:
            where = f"/body/subject_identities/{number}/identity_value"
            raise value_refused(where, "invalid_id", f"the id {error}") from error
    if len(found) != 1:
        said = (
            "names several users; send one request for each" if found else f"has no {type_} in the format raw"
        )
        raise value_refused("/body/subject_identities", "one_identity_needed", said)
    return found.pop()


def callbacks_of(session: Session, body: SubjectRequest, *, private: bool) -> list[str]:
    """The ids of the endpoints that the request names by their URLs.

    Args:
        private: whether hosts of the own network are allowed, as when the endpoints were registered.

    Raises:
        Problem: 422, a URL is not that of an active endpoint which speaks OpenDSR.
    """
    known = {one.url: one.id for one in webhooks.endpoints(session) if takes_callbacks(one)}
    found = []
    for number, url in enumerate(body.status_callback_urls or []):
        try:
            endpoint = known.get(parse_target(url, private=private).url)
        except UrlRefused:
            endpoint = None
        if endpoint is None:
            raise value_refused(
                f"/body/status_callback_urls/{number}",
                "callback_not_registered",
                "is no active webhook endpoint of the protocol opendsr; register it first",
            )
        found.append(endpoint)
    return sorted(set(found))
