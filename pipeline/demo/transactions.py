"""The demo's world: card transactions, some of them fraud. Training and traffic draw from it."""

import math
from random import Random

Transaction = dict[str, float | str]
"""One transaction: a value per column."""

HOME = "DE"
_COUNTRIES = {HOME: 0.5, "FR": 0.2, "US": 0.15, "BR": 0.1, "IN": 0.05}
_RISK = {HOME: -0.5, "FR": -0.3, "US": 0.4, "BR": 1.1, "IN": 0.6}
COLUMNS = ("amount", "hour", "card_age", "country")


def draw(random: Random) -> Transaction:
    """Draw one transaction: euros, hour of the day, age of the card in years, country."""
    return {
        "amount": round(random.lognormvariate(3.5, 1.0), 2),
        "hour": round(random.uniform(0, 24), 2),
        "card_age": round(random.expovariate(1 / 4), 2),
        "country": random.choices(list(_COUNTRIES), list(_COUNTRIES.values()))[0],
    }


def is_fraud(transaction: Transaction, random: Random) -> bool:
    """Decide what a transaction turned out to be."""
    night = 1.0 if not 6 <= float(transaction["hour"]) <= 22 else 0.0  # noqa: PLR2004 - o'clock
    score = (
        0.9 * (math.log1p(float(transaction["amount"])) - 4.2)
        + 1.2 * night
        - 0.25 * float(transaction["card_age"])
        + _RISK[str(transaction["country"])]
    )
    return random.random() < 1 / (1 + math.exp(-2 * score))


def request_body(transaction: Transaction) -> dict[str, dict[str, list[object]]]:
    """Write a transaction as MLflow's scoring protocol takes it."""
    row = [transaction[column] for column in COLUMNS]
    return {"dataframe_split": {"columns": list(COLUMNS), "data": [row]}}
