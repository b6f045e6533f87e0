"""Tokens of an issuer over real HTTP: one that rotates its keys, is down, or lies."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.access.id_tokens import IdTokens
from pipeline.access.issuer_keys import AGAIN, KEPT, IssuerKeys
from pipeline.access.key_source import KeySource
from pipeline.domain.access import Caller, Denial, Denied, Grant, Role
from pipeline.domain.oidc import Issuer as Described
from pipeline.domain.oidc import Rule
from pipeline.domain.promotion import TriggerKind
from pipeline.errors import UnavailableError
from pipeline.settings.access import AuthSettings
from pipeline.wiring.access import vouched
from tests.servers.certificates import private_certificate
from tests.servers.oidc_issuer import AUDIENCE, DISCOVERY, KEYS, Answer, Issuer, running_issuer
from tests.servers.scripted import scripted_server

OPERATOR = Grant(frozenset({Role.OPERATOR}), frozenset({"fraud"}))
RULE = Rule(OPERATOR, (("repository", ("acme/models",)), ("environment", ("production",))))


class World:
    """An issuer, and what reads its tokens, with a clock that can be moved."""

    def __init__(self, issuer: Issuer, source: KeySource | None = None) -> None:
        self.issuer = issuer
        self.now = 0.0
        keys = IssuerKeys(issuer.url, (source or KeySource(issuer.url)).read, lambda: self.now)
        described = Described(issuer.url, AUDIENCE, (RULE,))
        self._tokens = IdTokens([(described, keys.find)])

    def says(self, token: str) -> Caller | Denied:
        return self._tokens.read(token)

    def refuses(self, token: str, why: Denial = Denial.UNKNOWN) -> str:
        answer = self.says(token)
        assert isinstance(answer, Denied), answer
        assert answer.why is why
        return answer.reason

    def believes(self, token: str) -> Caller:
        answer = self.says(token)
        assert isinstance(answer, Caller), answer
        return answer


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


@pytest.fixture
def world(issuer: Issuer) -> World:
    return World(issuer)


def test_a_workflow_s_token_names_who_started_it_and_what_it_may_do(world: World) -> None:
    caller = world.believes(world.issuer.token())
    assert caller.actor == "github:octocat (acme/models)"
    assert caller.grants == (OPERATOR,)
    assert caller.trigger is TriggerKind.GITHUB
    assert caller.once is not None
    assert caller.proof == f"a token of {world.issuer.url}"


def test_an_elliptic_key_is_as_good(world: World) -> None:
    world.issuer.rotate(ec.generate_private_key(ec.SECP256R1()))
    assert world.believes(world.issuer.token()).grants == (OPERATOR,)


def test_keys_are_asked_for_once(world: World) -> None:
    for _ in range(5):
        world.believes(world.issuer.token())
    assert world.issuer.asked == [DISCOVERY, KEYS]


def test_where_keys_are_may_be_said_in_the_settings(issuer: Issuer) -> None:
    world = World(issuer, KeySource(issuer.url, jwks_uri=issuer.url + KEYS))
    world.believes(issuer.token())
    assert issuer.asked == [KEYS]


def test_a_rotated_key_is_believed_and_the_old_one_no_longer(world: World) -> None:
    before = world.issuer.token()
    world.believes(before)
    world.issuer.rotate()
    world.now += AGAIN
    world.believes(world.issuer.token())
    assert world.refuses(before) == (
        f"The token is signed with a key that {world.issuer.url} does not list."
    )


def test_tokens_go_on_while_the_issuer_is_down_and_new_keys_wait_for_it(world: World) -> None:
    token = world.issuer.token()
    world.believes(token)
    world.issuer.down()
    world.now += KEPT - 1
    world.believes(token)
    world.issuer.rotate(keep=True)
    reason = world.refuses(world.issuer.token(), Denial.UNDECIDED)
    assert reason.endswith("Send the same again later.")
    world.now += 1
    world.refuses(token, Denial.UNDECIDED)
    world.issuer.up()
    world.now += AGAIN
    world.believes(token)
    world.believes(world.issuer.token())


def test_an_issuer_that_was_down_from_the_start_is_no_reason_to_say_no(world: World) -> None:
    world.issuer.down()
    world.refuses(world.issuer.token(), Denial.UNDECIDED)
    world.issuer.up()
    world.now += AGAIN
    world.believes(world.issuer.token())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": -61}, "has expired"),
        ({"nbf": 120}, "is not valid yet: compare the clocks"),
        ({"iat": 120}, "is not valid yet: compare the clocks"),
        ({"exp": 86_500}, "good for more than a day"),
        ({"aud": "another"}, "is for another audience: ask for one for 'laurel'"),
        ({"aud": ["another"]}, "is for another audience"),
        ({"aud": ["laurel", "another"]}, "is for others, too: ask for one for 'laurel' alone"),
        ({"aud": None}, "must have iss, sub, aud, exp and iat"),
        ({"sub": None}, "must have iss, sub, aud, exp and iat"),
        ({"exp": None}, "must have iss, sub, aud, exp and iat"),
        ({"iat": None}, "must have iss, sub, aud, exp and iat"),
        ({"iss": None}, "is of another issuer than http"),
        ({"iss": "https://token.actions.githubusercontent.com"}, "is of another issuer than http"),
        ({"sub": 7}, "is not as http"),
        ({"jti": 7}, "is not as http"),
        ({"exp": "soon"}, "is not as http"),
        ({"nbf": "Infinity"}, "is not as http"),
    ],
)
def test_a_token_that_is_not_for_here_and_now_is_refused_with_what_was_expected(
    world: World, changes: dict[str, Any], why: str
) -> None:
    now = world.issuer.claims()["iat"]
    moved: dict[str, Any] = {
        name: now + value if name in {"exp", "nbf", "iat"} and isinstance(value, int) else value
        for name, value in changes.items()
    }
    assert why in world.refuses(world.issuer.token(**moved))


@pytest.mark.parametrize(
    "changes", [{"exp": -30}, {"nbf": 30}, {"iat": 30}, {"aud": ["laurel"]}, {"jti": None}]
)
def test_clocks_that_are_a_little_apart_and_lists_of_one_are_fine(
    world: World, changes: dict[str, Any]
) -> None:
    now = world.issuer.claims()["iat"]
    moved: dict[str, Any] = {k: now + v if isinstance(v, int) else v for k, v in changes.items()}
    world.believes(world.issuer.token(**moved))


@pytest.mark.parametrize("claim", ["repository", "environment"])
@pytest.mark.parametrize("value", ["evil/models", "acme/models-fork", "", None, ["acme/models"]])
def test_a_stranger_is_told_what_a_rule_wants_and_nothing_of_the_token(
    world: World, claim: str, value: object
) -> None:
    reason = world.refuses(world.issuer.token(None, **{claim: value}), Denial.NOT_ALLOWED)
    wanted = {"repository": "acme/models", "environment": "production"}[claim]
    assert reason.endswith(f"rule by rule: {claim} {wanted!r}.")


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def forged(world: World, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """Write a token by hand, as no library would."""
    signed = f"{encoded(header)}.{encoded(world.issuer.claims())}"
    signature = base64.urlsafe_b64encode(sign(signed.encode())).rstrip(b"=").decode()
    return f"{signed}.{signature}"


@pytest.mark.parametrize("alg", ["none", "NONE", "nOnE", "", None, "HS512", "RS512", "EdDSA", []])
def test_an_algorithm_that_nobody_asked_for_is_refused_before_a_key_is_looked_for(
    world: World, alg: object
) -> None:
    token = forged(world, {"alg": alg, "kid": world.issuer.kid}, lambda _: b"")
    assert world.refuses(token) == "The token must be a JWT signed with RS256 or ES256."
    assert world.issuer.asked == []


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_no_secret_to_sign_with(world: World, encoding: Encoding) -> None:
    public = world.issuer.key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def sign(signed: bytes) -> bytes:
        return hmac.digest(public, signed, hashlib.sha256)

    for alg in ("HS256", "RS256", "ES256"):
        world.refuses(forged(world, {"alg": alg, "kid": world.issuer.kid}, sign))


def test_a_key_that_the_token_brings_along_is_not_looked_at(world: World) -> None:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    foreign = Issuer()
    foreign.key, foreign.kid = own, world.issuer.kid
    headers = {"kid": world.issuer.kid, "jwk": foreign.jwk(), "jku": "https://evil.example.com"}
    token = jwt.encode(world.issuer.claims(), own, "RS256", headers=headers)
    assert "signature is not by the key of" in world.refuses(token)


@pytest.mark.parametrize("kid", ["foreign", "", None, 7, "../keys", "' or 1=1 --"])
def test_a_key_that_the_issuer_does_not_list_opens_nothing(world: World, kid: object) -> None:
    token = forged(world, {"alg": "RS256", "kid": kid}, lambda _: b"signature")
    world.refuses(token)


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "", None, 7])
def test_a_token_made_for_another_purpose_is_refused(world: World, typ: object) -> None:
    header = {"alg": "RS256", "kid": world.issuer.kid, "typ": typ}
    assert "must be a JWT" in world.refuses(forged(world, header, lambda _: b""))


def test_an_extension_that_nobody_knows_is_not_passed_over(world: World) -> None:
    token = world.issuer.token({"crit": ["exp-strict"], "exp-strict": True})
    assert "no JSON Web Token" in world.refuses(token)


def test_a_key_of_one_kind_does_not_check_signatures_of_another(world: World) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    headers = {"kid": world.issuer.kid}
    token = jwt.encode(world.issuer.claims(), own, "ES256", headers=headers)
    world.refuses(token)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_token_changed_by_one_letter_is_refused(data: st.DataObject) -> None:
    world, token = _shared()
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_.="))
    changed = token[:at] + letter + token[at + 1 :]
    assert isinstance(world.says(changed), Denied) is (changed != token)


def _shared() -> tuple[World, str]:
    """Make one issuer for all examples; its keys were read, so that it need not run any more."""
    if not _made:
        with running_issuer() as issuer:
            world = World(issuer)
            _made.append((world, issuer.token()))
            world.believes(_made[0][1])
    return _made[0]


_made: list[tuple[World, str]] = []


@example("\ud800.\ud800.\ud800")
@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}"))
def test_whatever_is_sent_as_a_token_is_answered_and_never_repeated(text: str) -> None:
    world, _ = _shared()
    reason = world.refuses(text)
    assert len(text) < 10 or text not in reason


@pytest.mark.parametrize("payload", ["[]", "7", '"a"', "null", "[" * 5000, "{", '{"iss": []}'])
def test_a_token_without_claims_is_none(world: World, payload: str) -> None:
    body = base64.urlsafe_b64encode(payload.encode()).rstrip(b"=").decode()
    world.refuses(f"{encoded({'alg': 'RS256', 'kid': world.issuer.kid})}.{body}.c2ln")


def test_a_token_of_absurd_length_is_not_read(world: World) -> None:
    assert "no JSON Web Token" in world.refuses(world.issuer.token(padding="a" * 20_000))
    assert world.issuer.asked == []


def test_one_token_is_one_token_however_its_signature_is_rewritten(world: World) -> None:
    world.issuer.rotate(ec.generate_private_key(ec.SECP256R1()))
    token = world.issuer.token(jti=None)
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    assert decode_dss_signature(encode_dss_signature(r, order - s)) == (r, order - s)
    twin = raw[:32] + (order - s).to_bytes(32)
    again = f"{signed}.{base64.urlsafe_b64encode(twin).rstrip(b'=').decode()}"
    assert again != token
    assert world.believes(again).once == world.believes(token).once


def test_tokens_are_told_apart_by_their_id_and_by_their_issuer(world: World) -> None:
    first, again = (world.believes(world.issuer.token(jti="one")) for _ in range(2))
    other = world.believes(world.issuer.token(jti="two"))
    assert first.once is not None
    assert again.once is not None
    assert other.once is not None
    assert first.once.id == again.once.id != other.once.id
    with running_issuer() as elsewhere:
        theirs = World(elsewhere).believes(elsewhere.token(jti="one")).once
    assert theirs is not None
    assert theirs.id != first.once.id


LIES: dict[str, Answer] = {
    "a page": Answer(b"<html>sign in</html>"),
    "a list": Answer([]),
    "no keys": Answer({"keys": []}),
    "no list of keys": Answer({"keys": "all of them"}),
    "nothing at all": Answer(b""),
    "an endless list": Answer({"keys": [{"kid": "a" * 100}] * 3000}),
    "brackets": Answer(b"[" * 100_000),
    "a redirect": Answer({}, 302, {"Location": "http://127.0.0.1:1/keys"}),
    "an error": Answer({}, 500),
    "not there": Answer({}, 404),
    "less than it says": Answer({}, headers={"Content-Length": "5000"}),
    "zipped": Answer({"keys": []}, headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
@pytest.mark.parametrize("lie", LIES)
def test_an_issuer_that_answers_with_something_else_opens_nothing(
    world: World, path: str, lie: str
) -> None:
    token = world.issuer.token()
    good = world.issuer.answers[path]
    world.issuer.answers[path] = LIES[lie]
    reason = world.refuses(token, Denial.UNDECIDED)
    assert "cannot be read now" in reason
    world.issuer.answers[path] = good
    world.now += AGAIN
    world.believes(token)


def test_a_redirect_is_not_followed_wherever_it_leads(world: World) -> None:
    with scripted_server() as elsewhere:
        elsewhere.says(200, {"keys": [world.issuer.jwk()]})
        world.issuer.answers[KEYS] = Answer({}, 307, {"Location": f"{elsewhere.url}/keys"})
        world.refuses(world.issuer.token(), Denial.UNDECIDED)
        assert elsewhere.heard == []


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://token.actions.githubusercontent.com"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://keys.example.com"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
def test_a_discovery_document_that_leads_astray_is_not_followed(
    world: World, said: dict[str, object]
) -> None:
    right = world.issuer.answers[DISCOVERY].content
    assert isinstance(right, dict)
    world.issuer.answers[DISCOVERY] = Answer(right | said)
    with pytest.raises(UnavailableError, match="its discovery document"):
        KeySource(world.issuer.url).read()
    assert world.issuer.asked == [DISCOVERY]


def test_a_good_key_among_endless_others_is_not_waited_for(issuer: Issuer) -> None:
    issuer.answers[KEYS] = Answer({"keys": [issuer.jwk(), "a" * (1 << 18)]})
    with pytest.raises(UnavailableError, match="its answer is larger than 256 KiB"):
        KeySource(issuer.url).read()


def test_an_answer_that_trickles_is_given_up(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.access.key_source._SECONDS", 0.0)
    issuer.answers[KEYS] = Answer({"keys": [issuer.jwk(), "a" * 20_000]}, pause=0.01)
    with pytest.raises(UnavailableError, match="is not complete after 0 s"):
        KeySource(issuer.url).read()


def test_keys_that_are_none_are_left_out_and_the_others_are_read(issuer: Issuer) -> None:
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - on purpose
    weak = Issuer()
    weak.key, weak.kid = short, "weak"
    good = issuer.jwk()
    others: list[object] = [
        weak.jwk(),
        issuer.jwk(kid="long", n="_" * 1500),
        issuer.jwk(kid="encrypts", use="enc"),
        issuer.jwk(kid="private", d="AQAB"),
        issuer.jwk(kid="another algorithm", alg="PS256"),
        issuer.jwk(kid="an unknown algorithm", alg=["RS256"]),
        issuer.jwk(kid="a wrong algorithm", alg="HS256"),
        issuer.jwk(kid="no number", n="!"),
        {"kid": "nothing in it", "kty": "RSA"},
        {"kid": "a secret", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        {"kid": "P-384", "kty": "EC", "crv": "P-384", "x": "a", "y": "a"},
        {name: value for name, value in good.items() if name != "kid"},
        issuer.jwk(kid=7),
        *("a text", None, []),
    ]
    issuer.answers[KEYS] = Answer({"keys": [*others, good]})
    assert list(KeySource(issuer.url).read()) == [issuer.kid]


def test_over_tls_an_issuer_of_a_private_authority_is_believed_where_that_is_named(
    tmp_path: Path,
) -> None:
    certificate = private_certificate(tmp_path)
    with running_issuer(certificate) as issuer:
        World(issuer, KeySource(issuer.url, ca_file=certificate.ca_file)).believes(issuer.token())
        with pytest.raises(UnavailableError, match="its certificate is not trusted: name ca_file"):
            KeySource(issuer.url).read()


def test_settings_lead_to_an_issuer(issuer: Issuer) -> None:
    assert vouched(AuthSettings()) is None
    auth = AuthSettings.model_validate(
        {
            "oidc": [
                {
                    "issuer": issuer.url,
                    "audience": AUDIENCE,
                    "allow": [{"roles": ["approver"], "claims": {"repository": "acme/models"}}],
                }
            ]
        }
    )
    read = vouched(auth)
    assert read is not None
    caller = read(issuer.token())
    assert isinstance(caller, Caller)
    assert caller.roles == (Role.APPROVER,)
    assert issuer.asked == [DISCOVERY, KEYS]


def test_a_proxy_that_is_none_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://proxy")
    monkeypatch.delenv("https_proxy", raising=False)
    with pytest.raises(UnavailableError, match="HTTPS_PROXY is not the address"):
        KeySource("https://issuer.example.com").read()
