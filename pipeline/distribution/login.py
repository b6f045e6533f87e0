"""Who Laurel is to a registry; nothing here is ever printed but names and where they are from."""

import base64
import re
from dataclasses import dataclass, field

from pipeline.errors import ConfigurationError

VISIBLE = re.compile(r"[!-~]+\Z")
"""What a token may consist of: it becomes a header's value."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a registry, or whoever gives out its tokens, is told of who asks.

    Parameters
    ----------
    source
        Where it was found, for errors: "auths of ~/.docker/config.json". Of an anonymous login,
        where nothing was found.
    username, password
        For Basic, and to get tokens with.
    identity_token
        To get tokens with: OAuth2's refresh token.
    registry_token
        Is the token.

    Raises
    ------
    ConfigurationError
        Where it could not be sent.

    """

    source: str
    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        try:
            f"{self.username}{self.password}{self.identity_token}".encode()
        except UnicodeEncodeError:  # whose text would have them
            raise ConfigurationError(f"{self.source}: the credentials are no text") from None
        if self.registry_token and not VISIBLE.match(self.registry_token):
            raise ConfigurationError(f"{self.source}: registrytoken has a character no token has")

    @property
    def is_anonymous(self) -> bool:
        """Whether it tells nothing."""
        return not (self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The header for Basic; ``""`` without a name."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def gives_away(self, text: str) -> bool:
        """Tell whether a text repeats a secret, be it as it was sent."""
        sent = self.basic.removeprefix("Basic ")
        secrets = (self.password, sent, self.identity_token, self.registry_token)
        return any(secret and secret in text for secret in secrets)

    def __str__(self) -> str:
        name = "".join(letter for letter in self.username if letter.isprintable())[:80]
        return f"{f'user {name}' if name else 'the token'} ({self.source})"
