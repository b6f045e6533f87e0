"""How much is sent at once: everything, unless somebody on the way cannot take that."""

_FIRST = 32 << 20
_LEAST = 1 << 20


class Chunks:
    """The size of an upload's parts; halved each time that one was too large.

    One request with all bytes is the default: ECR keeps only the first of several parts
    (aws/containers-roadmap#2831). Proxies in front of others take 100 MB, or 1 MiB, at once.
    """

    def __init__(self) -> None:
        self._size: int | None = None

    @property
    def limited(self) -> bool:
        """Whether the bytes go in parts."""
        return self._size is not None

    def limit(self) -> None:
        """Send parts from now on."""
        self._size = self._size or _FIRST

    def next(self, rest: int, smallest: int) -> int:
        """Say how many bytes of the ``rest`` to send; the registry wants ``smallest`` at least."""
        return rest if self._size is None else min(rest, max(self._size, smallest))

    def shrink(self, refused: int, smallest: int) -> bool:
        """Send less than the bytes that were too many; ``False`` where less may not be sent."""
        least = max(_LEAST, smallest)
        self._size = max(least, min(_FIRST, refused // 2))
        return refused > least
