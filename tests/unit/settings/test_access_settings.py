"""auth.oidc: who is believed, and no rule that lets everybody in."""

from pathlib import Path

import pytest

from pipeline.domain.access import Grant, Role
from pipeline.domain.oidc import Issuer, Rule
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.settings.load import load_settings

GITHUB = "https://token.actions.githubusercontent.com"
SERVICES = "services: [{name: fraud, model: m}]"


def load(folder: Path, issuer: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(f"{SERVICES}\nauth: {{oidc: [{issuer}]}}")
    return load_settings(path, {})


def rule(folder: Path, text: str) -> Settings:
    return load(folder, f"{{issuer: '{GITHUB}', audience: laurel, allow: [{text}]}}")


def test_nobody_is_believed_unless_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "laurel.yaml").write_text("")
    assert load_settings(tmp_path / "laurel.yaml", {}).auth.oidc == ()


def test_an_issuer_becomes_the_value_that_tokens_are_held_against(tmp_path: Path) -> None:
    found = rule(
        tmp_path,
        "{roles: [operator, approver], services: [fraud],"
        " claims: {repository: acme/models, environment: [staging, production]}},"
        " {roles: [reader], claims: {sub: 'repo:acme/models:ref:refs/heads/main'}}",
    )
    assert found.auth.oidc[0].described() == Issuer(
        GITHUB,
        "laurel",
        (
            Rule(
                Grant(frozenset({Role.OPERATOR, Role.APPROVER}), frozenset({"fraud"})),
                (("repository", ("acme/models",)), ("environment", ("staging", "production"))),
            ),
            Rule(
                Grant(frozenset({Role.READER})),
                (("sub", ("repo:acme/models:ref:refs/heads/main",)),),
            ),
        ),
    )


def test_an_authority_s_file_is_beside_laurel_yaml(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "{issuer: 'https://git.example.com', audience: a, ca_file: ca.pem,"
        " jwks_uri: 'https://git.example.com/keys',"
        " allow: [{roles: [reader], claims: {repository_id: '7'}}]}",
    )
    assert found.auth.oidc[0].ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{roles: [operator], claims: {environment: production}}", "one of repository, repositor"),
        ("{roles: [operator], claims: {}}", "one of repository, repository_id or sub"),
        ("{roles: [operator], claims: {repository: 'acme/*'}}", "no wildcards; list the values"),
        ("{roles: [operator], claims: {repository: a/b, ref: [main, 'v*']}}", "ref: there are no"),
        ("{roles: [operator], claims: {repository: ''}}", "at least one value, and no empty"),
        ("{roles: [operator], claims: {repository: []}}", "at least one value, and no empty"),
        ("{roles: [operator], claims: {repository_id: 7}}", "claims.repository_id"),
        ("{roles: [], claims: {repository: a/b}}", "roles"),
        ("{roles: [admin], claims: {repository: a/b}}", "roles.0"),
        ("{roles: [reader], services: [], claims: {repository: a/b}}", "services"),
        ("{roles: [reader], services: [frau], claims: {repository: a/b}}", "no service 'frau'"),
        ("{roles: [reader], claim: {repository: a/b}}", "did you mean claims"),
    ],
)
def test_a_rule_that_would_let_strangers_in_or_nobody_is_refused(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        rule(tmp_path, text)
    assert why in str(refused.value)


RULE = "allow: [{roles: [reader], claims: {repository: a/b}}]"


@pytest.mark.parametrize(
    ("issuer", "why"),
    [
        (f"{{issuer: 'http://git.example.com', audience: a, {RULE}}}", "write https://HOST"),
        (
            f"{{issuer: '{GITHUB}', audience: a, jwks_uri: 'http://a.b/keys', {RULE}}}",
            "write https://HOST",
        ),
        (f"{{issuer: '{GITHUB}', audience: '', {RULE}}}", "audience"),
        (f"{{issuer: '{GITHUB}', {RULE}}}", "audience"),
        (f"{{issuer: '{GITHUB}', audience: a, allow: []}}", "allow"),
        (
            ", ".join(f"{{issuer: '{GITHUB}', audience: {each}, {RULE}}}" for each in "ab"),
            "each issuer may stand once",
        ),
    ],
)
def test_an_issuer_that_cannot_be_believed_is_refused(
    tmp_path: Path, issuer: str, why: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, issuer)
    assert why in str(refused.value)
