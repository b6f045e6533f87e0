"""The record: promotions, their events, deliveries, holds. The only one (law 8).

The durable engine's checkpoints are elsewhere and may be deleted; what stands here may not. No
decision is taken here: who may promote what is ``pipeline.domain``'s and the reconciler's.
"""

from pipeline.ledger.admissions import Admissions, Entrance
from pipeline.ledger.answers import Answers, Claim, Given
from pipeline.ledger.database import Database
from pipeline.ledger.deliveries import Deliveries
from pipeline.ledger.events import Event, Events
from pipeline.ledger.history import History
from pipeline.ledger.notifications import Notifications
from pipeline.ledger.promotions import Controls, Page, Promotions
from pipeline.ledger.rollbacks import Rollbacks
from pipeline.ledger.rows import moment, new_id, repeated_id, stamp
from pipeline.ledger.services import Holds, Sightings, States
from pipeline.ledger.steering import Steerings
from pipeline.ledger.tokens import IssuedToken, SpentTokens, Tokens, new_token

__all__ = [
    "Answers",
    "Claim",
    "Entrance",
    "Event",
    "Given",
    "IssuedToken",
    "Ledger",
    "Page",
    "Tokens",
    "moment",
    "new_id",
    "new_token",
    "repeated_id",
    "stamp",
]


class Ledger:
    """One ledger, by database URL (``sqlite:///laurel.db``).

    Raises
    ------
    ConfigurationError
        For a URL that names no supported database.
    UnavailableError
        From any call, when nothing could be read or recorded (disk full, locked too long).

    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.deliveries = Deliveries(self.database)
        self.promotions = Promotions(self.database)
        self.rollbacks = Rollbacks(self.database)
        self.controls = Controls(self.database)
        self.admissions = Admissions(self.database)
        self.steerings = Steerings(self.database)
        self.events = Events(self.database)
        self.history = History(self.database)
        self.holds = Holds(self.database)
        self.states = States(self.database)
        self.sightings = Sightings(self.database)
        self.tokens = Tokens(self.database)
        self.spent_tokens = SpentTokens(self.database)
        self.answers = Answers(self.database)
        self.notifications = Notifications(self.database)

    def migrate(self) -> None:
        """Bring the schema to the newest version."""
        self.database.migrate()

    def current(self) -> bool:
        """Tell whether the schema is the one this code was written for."""
        return self.database.current()

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()
