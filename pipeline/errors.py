"""Everything that can go wrong in Laurel, as one tree.

::

    LaurelError
      ConfigurationError             stop at start-up, exit 2
      InvalidReferenceError          a name, digest or percent that cannot be parsed
      DeliveryError                  a webhook delivery that is never acted upon
        UnsignedDeliveryError        no delivery id, time or signature (401)
        SignatureMismatchError       no secret in use made this signature (401)
        StaleDeliveryError           signed too long ago, or in the future (401)
        MalformedDeliveryError       authentic, and not what MLflow sends (422)
      StepError(attempted, subject, hint)
        TransientError(retry_after)  the step is tried again
          UnavailableError           a neighbour does not answer, or answers 5xx
          RateLimitedError           a neighbour asks us to wait (429)
          ConflictError              somebody else wrote first; read again
        PermanentError               phase ``errored``: a person must look
          NotFoundError              the subject does not exist
          ForbiddenError             credentials are missing or not enough (401, 403)
          RejectedError              the target's own policy says no: admission, a quota
          DriftedError               a person changed it by hand while it was being changed
          StaleSequenceError         the target already carries a newer promotion
          CorruptedError             bytes differ from the digest that names them

What a policy, a model or an analysis says "no" to is no exception: steps return
:class:`pipeline.domain.evidence.Refused` (law 3: refused is not broken).
"""


class LaurelError(Exception):
    """Base of every error that Laurel raises on purpose."""


class ConfigurationError(LaurelError):
    """The configuration cannot be used; the message names the key and what to write there."""


class InvalidReferenceError(LaurelError, ValueError):
    """A name, digest, version or percentage that cannot be parsed."""


class DeliveryError(LaurelError):
    """A webhook delivery that is never acted upon; its message repeats nothing of what was sent."""


class UnsignedDeliveryError(DeliveryError):
    """The delivery lacks the headers that would authenticate it, or they have another shape."""


class SignatureMismatchError(DeliveryError):
    """No secret in use made the delivery's signature."""


class StaleDeliveryError(DeliveryError):
    """The delivery was signed too long ago, or its clock runs ahead."""


class MalformedDeliveryError(DeliveryError):
    """The delivery is authentic, and its body is not an event as MLflow writes it."""


class StepError(LaurelError):
    """A step could not do its work.

    Parameters
    ----------
    attempted
        What was being done, as a clause: ``"read alias champion"``.
    subject
        On what: a model version, an image, a URL without credentials.
    hint
        What a person should do about it, as a sentence.

    """

    def __init__(self, attempted: str, subject: str, hint: str) -> None:
        super().__init__(attempted, subject, hint)
        self.attempted = attempted
        self.subject = subject
        self.hint = hint

    def __str__(self) -> str:
        return f"could not {self.attempted} ({self.subject}): {self.hint}"


class TransientError(StepError):
    """Worth trying again by itself; ``retry_after`` is the wait asked for, in seconds, if any."""

    def __init__(
        self, attempted: str, subject: str, hint: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(attempted, subject, hint)
        self.retry_after = retry_after


class UnavailableError(TransientError):
    """A neighbour does not answer, or answers that it cannot."""


class RateLimitedError(TransientError):
    """A neighbour asks to be called less often."""


class ConflictError(TransientError):
    """Somebody else changed the subject first; reading it again will tell."""


class PermanentError(StepError):
    """Trying again will not help until a person has changed something."""


class NotFoundError(PermanentError):
    """The subject does not exist."""


class ForbiddenError(PermanentError):
    """Credentials are missing, wrong or not enough."""


class RejectedError(PermanentError):
    """The target's own policy says no, admission or a quota; its words are in the message."""


class DriftedError(PermanentError):
    """Somebody changed a service by hand in the middle of a promotion; the message says what."""


class StaleSequenceError(PermanentError):
    """The serving target already carries a promotion with a higher sequence."""


class CorruptedError(PermanentError):
    """Bytes do not have the digest that names them."""
