"""What every request of the running page has in common: made once, by make_app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkpoint.settings import Settings
from bulkpoint.web.door import Door
from bulkpoint.web.shared import Shared
from bulkpoint.web.threads import Threads
from bulkpoint.web.throttle import Throttle

if TYPE_CHECKING:
    from bulkpoint.web.asked import Asked


@dataclass(frozen=True)
class Host:
    """What the page is started with.

    database_url: of the database, with whose login does not matter unless `embedded`: then everybody who has the
    one-use token works under it. uploads: a folder of our own for files that people send. hosts: the names by which the
    page may be asked, without port; none: by any. address: where a browser finds it. say: to whoever started it; log:
    is given a message, its `event`, and its `campaign` where it has one.
    """

    settings: Settings
    database_url: str
    uploads: Path
    embedded: bool = False
    behind_proxy: bool = False
    hosts: frozenset[str] = frozenset()
    address: str = ""
    say: Callable[[str], None] = field(default=lambda _: None, repr=False)
    log: Callable[..., None] = field(default=lambda *_, **__: None, repr=False)


@dataclass(frozen=True)
class Site:
    """The running page. every_page: what the frame of every page shows, by its name in the templates."""

    host: Host
    door: Door
    throttle: Throttle = field(default_factory=Throttle)
    shared: Shared = field(default_factory=Shared)
    threads: Threads = field(default_factory=Threads)
    every_page: Mapping[str, Callable[["Asked"], Any]] = field(default_factory=dict)

    def say_address(self) -> None:
        """Where a browser gets in, to whoever started this; nothing where what was said last is not used yet."""
        if not self.host.embedded:
            self.host.say(self.host.address)
        elif (token := self.door.new_token()) is not None:
            self.host.say(f"{self.host.address}sign-in?token={token}")
