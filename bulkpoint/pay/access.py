"""How the money API is spoken to now: connections, CA certificates and secrets, made anew during a run.

A money API moves to other machines, its certificate and our token are exchanged, and a run goes on. So everything that
was resolved, connected or read from a file is renewed now and then, sooner where calls fail or the token is refused. A
file that cannot be used at that moment may be in the middle of a change: what was read before stays in use.
"""

from collections.abc import Callable, Mapping

from bulkpoint.errors import UsageError
from bulkpoint.log import Level
from bulkpoint.money.adapter import Adapter
from bulkpoint.money.transport import Calls
from bulkpoint.pay.log import say
from bulkpoint.views.sentences import sentence

RENEW_EVERY_S = 60.0
# Where calls fail: at most this often, after so many in a row.
RENEW_AGAIN_S = 5.0
FAILURES_IN_A_ROW = 3


class Access:
    """The adapter, with the secrets as they were read last. Used by one thread at a time."""

    def __init__(
        self, read_secrets: Callable[[], Mapping[str, str]], make_adapter: Callable[[Mapping[str, str]], Adapter]
    ) -> None:
        """Raises UsageError where a file with a secret or the adapter cannot be used."""
        self._read_secrets = read_secrets
        self._make_adapter = make_adapter
        self._secrets = read_secrets()
        self.adapter = make_adapter(self._secrets)
        self._said: dict[str, str] = {}

    def renew(self, calls: Calls) -> None:
        """Connections, CA certificates and secrets."""
        self._say_once("CA certificates", calls.renew())
        self.renew_secrets()

    def renew_secrets(self) -> None:
        """`adapter` is another one afterwards if a secret is another."""
        error: UsageError | None = None
        try:
            secrets = self._read_secrets()
            if secrets != self._secrets:
                self.adapter = self._make_adapter(secrets)
                self._secrets = secrets
        except UsageError as wrong:
            error = wrong
        self._say_once("secrets", error)

    def _say_once(self, what: str, error: UsageError | None) -> None:
        said = "" if error is None else sentence(error)
        if said and said != self._said.get(what):
            say(f"the {what} that were read before stay in use: {said}", event="secret_kept", level=Level.WARNING)
        self._said[what] = said


class Renewal:
    """When access is to be renewed. Instants by the caller's clock."""

    def __init__(self, now: float) -> None:
        self._failures = 0
        self._done_at = now
        self.due_at = now + RENEW_EVERY_S

    def done(self, now: float) -> None:
        """It was renewed."""
        self._done_at = now
        self.due_at = now + RENEW_EVERY_S

    def heard(self, *, failing: bool) -> None:
        """A call ended. failing: for the API's own reasons, or without an answer."""
        if not failing:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            self.due_at = min(self.due_at, self._done_at + RENEW_AGAIN_S)
