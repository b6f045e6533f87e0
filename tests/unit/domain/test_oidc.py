"""What an issuer's claims are worth: whole values, each claim of a rule, and nothing told on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.access import Denial, Denied, Grant, Role
from pipeline.domain.oidc import Issuer, Rule, address_fault, granted, named
from pipeline.domain.promotion import TriggerKind

OPERATOR = Grant(frozenset({Role.OPERATOR}), frozenset({"fraud"}))
READER = Grant(frozenset({Role.READER}))
NAMES = ("repository", "environment", "ref")
VALUES = st.sampled_from(["acme/models", "acme/models2", "acme", "production", "", "ACME/MODELS"])
TOKENS = st.dictionaries(
    st.sampled_from(NAMES),
    VALUES | st.none() | st.booleans() | st.integers(0, 1) | st.lists(VALUES, max_size=2),
)
RULES = st.builds(
    lambda wanted: Rule(OPERATOR, tuple((k, tuple(v)) for k, v in wanted.items())),
    st.dictionaries(
        st.sampled_from(NAMES), st.lists(VALUES.filter(bool), min_size=1, max_size=2), min_size=1
    ),
)


def issuer(*rules: Rule) -> Issuer:
    return Issuer("https://issuer.example.com", "laurel", rules)


@given(st.lists(RULES, min_size=1, max_size=3), TOKENS)
def test_a_token_is_worth_something_only_where_a_rule_has_every_claim_word_for_word(
    rules: list[Rule], claims: dict[str, object]
) -> None:
    fitting = [
        rule for rule in rules if all(claims.get(name) in wanted for name, wanted in rule.claims)
    ]
    answer = granted(issuer(*rules), claims)
    assert isinstance(answer, Denied) is (not fitting)
    if not isinstance(answer, Denied):
        assert answer == tuple(rule.grant for rule in fitting)


@given(st.text(min_size=4).filter(lambda text: text.isalnum()))
def test_a_denial_says_what_was_wanted_and_nothing_of_the_token(said: str) -> None:
    rule = Rule(OPERATOR, (("repository", ("acme/models",)), ("environment", ("a", "b"))))
    claims = {"repository": f"evil/{said}", "environment": f"env-{said}"}
    answer = granted(issuer(rule), claims)
    assert answer == Denied(
        Denial.NOT_ALLOWED,
        "No rule of auth.oidc fits this token. Not as wanted, rule by rule:"
        " repository 'acme/models' and environment 'a' or 'b'.",
    )


def test_only_the_claims_that_are_not_as_wanted_are_told() -> None:
    rule = Rule(OPERATOR, (("repository", ("acme/models",)), ("environment", ("production",))))
    answer = granted(issuer(rule), {"repository": "acme/models", "environment": "staging"})
    assert isinstance(answer, Denied)
    assert "environment 'production'" in answer.reason
    assert "repository" not in answer.reason


def test_all_rules_that_fit_count_and_a_narrow_one_hides_no_wide_one() -> None:
    narrow = Rule(OPERATOR, (("repository", ("acme/models",)), ("environment", ("production",))))
    wide = Rule(READER, (("repository", ("acme/models", "acme/other")),))
    claims = {"repository": "acme/models", "environment": "production"}
    assert granted(issuer(narrow, wide), claims) == (OPERATOR, READER)
    assert granted(issuer(narrow, wide), {"repository": "acme/other"}) == (READER,)


def test_of_many_rules_a_few_are_told() -> None:
    rules = [Rule(OPERATOR, (("repository", (f"acme/{n}",)),)) for n in range(8)]
    answer = granted(issuer(*rules), {})
    assert isinstance(answer, Denied)
    assert "'acme/4'; 3 more rules fit neither." in answer.reason
    assert "acme/5" not in answer.reason


def test_github_s_tokens_name_who_started_the_workflow_and_where() -> None:
    claims = {"actor": "octocat", "repository": "acme/models", "sub": "repo:acme/models:ref:x"}
    assert named(claims) == ("github:octocat (acme/models)", TriggerKind.GITHUB)


@pytest.mark.parametrize("claims", [{}, {"actor": "octocat"}, {"actor": 7, "repository": "a/b"}])
def test_of_other_tokens_the_subject_is_named(claims: dict[str, object]) -> None:
    subject = {"sub": "system:serviceaccount:ml:ci"}
    assert named(claims | subject) == ("oidc:system:serviceaccount:ml:ci", TriggerKind.API)


def test_a_name_in_the_record_is_one_line_of_bounded_length() -> None:
    actor, _ = named({"sub": "ci\n\x1b[2J" + "a" * 500})
    assert actor == "oidc:ci??[2J" + "a" * 193
    assert actor.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "https://token.actions.githubusercontent.com",
        "https://git.example.com:8443/_services/token",
        "https://issuer.example.com/",
        "http://127.0.0.1:5600",
        "http://localhost:5600/keys",
        "http://[::1]:5600",
    ],
)
def test_an_issuer_is_believed_over_tls_or_on_this_machine(url: str) -> None:
    assert address_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://issuer.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com"),
        *("ftp://localhost", "issuer.example.com", "", "https://", "https://[::1", "https://a:b"),
    ],
)
def test_an_issuer_that_anybody_on_the_way_could_play_is_not_believed(url: str) -> None:
    assert address_fault(url) == "write https://HOST, or http:// for this machine alone"


@pytest.mark.parametrize("url", ["https://a:b@example.com", "https://e.com?a=b", "https://e.com#a"])
def test_an_issuer_s_address_is_an_address_alone(url: str) -> None:
    assert address_fault(url) == "it may have no credentials, query or fragment"
