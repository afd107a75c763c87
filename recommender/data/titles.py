"""Invented titles for synthetic catalogues. Each taste has its own nouns, so that people can recognise it in a list."""

_ADJECTIVES = (
    "Amber", "Broken", "Calm", "Crooked", "Distant", "Early", "Faded", "Gentle", "Golden", "Hidden", "Hollow",
    "Last", "Little", "Lost", "Midnight", "Northern", "Patient", "Quiet", "Restless", "Silver", "Sleeping",
    "Stubborn", "Velvet", "Wandering", "Winter",
)  # fmt: skip

_NOUNS_BY_TASTE = (
    ("Harbour", "Lighthouse", "Tide", "Sailor"),
    ("Orchard", "Meadow", "Hedgerow", "Harvest"),
    ("Engine", "Signalman", "Viaduct", "Sleeper Train"),
    ("Comet", "Observatory", "Moonrise", "Astronomer"),
    ("Cipher", "Informant", "Dead Drop", "Courier"),
    ("Violin", "Rehearsal", "Overture", "Organist"),
    ("Glacier", "Summit", "Avalanche", "Mountaineer"),
    ("Bakery", "Recipe", "Spice Market", "Pastry Cook"),
    ("Verdict", "Witness", "Alibi", "Magistrate"),
    ("Robot", "Circuit", "Automaton", "Inventor"),
    ("Dragon", "Sorcerer", "Enchanted Well", "Knight"),
    ("Saddle", "Canyon", "Ranch", "Outlaw"),
    ("Ghost", "Attic", "Seance", "Haunting"),
    ("Goalkeeper", "Marathon", "Final Whistle", "Champion"),
    ("Palace", "Heir", "Coronation", "Ambassador"),
    ("Submarine", "Trench", "Deserter", "Armistice"),
    ("Circus", "Juggler", "Trapeze", "Ringmaster"),
    ("Jungle", "Explorer", "Waterfall", "Parrot"),
    ("Typewriter", "Editor", "Headline", "Correspondent"),
    ("Wedding", "Love Letter", "Dance", "Stranger"),
)


def title(taste: int, rank: int) -> str:
    """Title of the `rank`-th item of a taste; distinct for distinct pairs."""
    nouns = _NOUNS_BY_TASTE[taste % len(_NOUNS_BY_TASTE)]
    # The stride is coprime to the number of adjectives, so neighbouring items differ in both words.
    adjective = _ADJECTIVES[(7 * rank + 3 * taste) % len(_ADJECTIVES)]
    name = f"{adjective} {nouns[rank % len(nouns)]}"
    # One volume holds every pair of adjective and noun once, because their numbers are coprime.
    volume = 1 + rank // (len(_ADJECTIVES) * len(nouns)) + taste // len(_NOUNS_BY_TASTE) * 1000
    return name if volume == 1 else f"{name}, Volume {volume}"
