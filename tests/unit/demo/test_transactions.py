from random import Random

from pipeline.demo.transactions import (
    COLUMNS,
    HOME,
    Transaction,
    draw,
    is_fraud,
    request_body,
)


def _seeded() -> Random:
    return Random(1)  # noqa: S311 - a test's data, the same at every run


def test_half_of_all_transactions_come_from_abroad() -> None:
    random = _seeded()
    drawn = [draw(random) for _ in range(2000)]
    assert 0.45 < sum(each["country"] != HOME for each in drawn) / 2000 < 0.55


def test_the_same_seed_draws_the_same_world() -> None:
    assert draw(_seeded()) == draw(_seeded())


def test_large_amounts_at_night_on_new_cards_are_fraud_more_often() -> None:
    random = _seeded()
    suspect: Transaction = {"amount": 900.0, "hour": 2.0, "card_age": 0.1, "country": "BR"}
    usual: Transaction = {"amount": 9.0, "hour": 12.0, "card_age": 9.0, "country": HOME}
    assert sum(is_fraud(suspect, random) for _ in range(100)) > 90
    assert sum(is_fraud(usual, random) for _ in range(100)) < 10


def test_a_request_names_its_columns_in_the_models_order() -> None:
    body = request_body({"country": HOME, "amount": 1.0, "hour": 2.0, "card_age": 3.0})
    assert body == {"dataframe_split": {"columns": list(COLUMNS), "data": [[1.0, 2.0, 3.0, HOME]]}}
