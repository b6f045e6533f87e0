"""The signing key: it can be used, is its owner's alone, and is the one that is trusted."""

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.doctor.finding import Finding, bad, ok
from pipeline.domain.policy import TrustPolicy
from pipeline.trust.keys import PublicKey

CHECK, SECRETS = "key", "secrets"
_OTHERS = 0o077


def examine(
    key: Path, sign_with: Callable[[], str], policy: Callable[[], TrustPolicy]
) -> Iterator[Finding]:
    """Open the key with its password, and find it among the trusted ones.

    ``sign_with`` opens it and names it; ``ConfigurationError`` where it cannot.
    """
    key_id = sign_with()
    trusted = {PublicKey.from_pem(pem).key_id for pem in policy().keys}
    if key_id not in trusted:
        public = key.with_suffix(".pub")
        yield bad(
            CHECK,
            f"{public} is another key's: nothing that is signed here would be trusted here",
            f"mv {public} {public}.other, and the private key's own half counts; or put the "
            "private key that belongs to it into signing.key",
        )
    else:
        yield ok(CHECK, f"{key.name} opens, and what it signs is trusted ({key_id[:12]})")


def examine_files(paths: dict[str, Path]) -> Iterator[Finding]:
    """See that no secret lies open; a file that is not there is not looked at here."""
    for what, path in paths.items():
        try:
            mode = path.stat().st_mode & 0o777
        except OSError:
            continue
        check = f"{SECRETS} {what}"
        if mode & _OTHERS:
            yield bad(
                check, f"others of this machine may use {path} ({mode:04o})", f"chmod 600 {path}"
            )
        else:
            yield ok(check, f"{path.name} is its owner's alone")
