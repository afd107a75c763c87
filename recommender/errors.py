"""Everything `recommender` raises on purpose.

RecommenderError
├── DataError          an interaction file, history or sequence cannot be used
├── ConfigError        a configuration field has an invalid value
├── ModelLoadError     a folder or hub id does not hold a usable base model
├── AdapterMismatch    an adapter does not fit the base it is attached to
├── OtherCatalogue     a version was made for items that this catalogue does not begin with
└── Interrupted        a computation was asked to stop before it finished
"""


class RecommenderError(Exception):
    """Root of the errors of this package."""


class DataError(RecommenderError):
    """Interactions, a catalogue or a sequence cannot be used."""


class ConfigError(RecommenderError, ValueError):
    """A configuration field has an invalid value."""


class ModelLoadError(RecommenderError):
    """A base model or adapter folder lacks something or holds something we refuse to read."""


class AdapterMismatch(RecommenderError):
    """An adapter does not fit the base model: wrong shapes, modules, rank or kind."""


class OtherCatalogue(RecommenderError):
    """A version was made for items with which this catalogue does not begin."""


class Interrupted(RecommenderError):
    """`should_stop` answered yes; nothing was produced."""
