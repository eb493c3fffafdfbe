"""How long a kept connection may have been idle when it is used again."""

# Servers close a connection after 5 s of silence or more, most of them; others are found out.
IDLE_S_MAX = 4.0
# A server that is restarted closes every connection, whatever its age: that says nothing about the next ones.
IDLE_S_MIN = 0.25
# If the server closes in the same instant in which we send, that call is in doubt: stay well below its limit.
BELOW = 0.8


class IdleLimit:
    """The limit of one client, in seconds; it falls when the server is seen to close sooner, or says that it will."""

    def __init__(self) -> None:
        self.seconds = IDLE_S_MAX

    def saw_close(self, idle_s: float) -> None:
        """The server closed a connection that had been idle for `idle_s`, or for less."""
        if idle_s >= IDLE_S_MIN:
            self._lower(idle_s)

    def read_keep_alive(self, value: str | None) -> None:
        """value: of the header Keep-Alive, such as "timeout=5, max=100"."""
        for parameter in (value or "").split(","):
            name, _, seconds = parameter.strip().partition("=")
            if name.strip().lower() == "timeout" and seconds.strip().isdecimal():
                self._lower(float(seconds.strip()[:9]))

    def _lower(self, seconds: float) -> None:
        self.seconds = min(self.seconds, max(IDLE_S_MIN, seconds * BELOW))
