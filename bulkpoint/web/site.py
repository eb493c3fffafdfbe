"""What every request of the running page has in common: made once, by make_app."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bulkpoint.settings import Settings
from bulkpoint.web.door import Door
from bulkpoint.web.shared import Shared

if TYPE_CHECKING:
    from bulkpoint.web.asked import Asked


@dataclass(frozen=True)
class Host:
    """What the page is started with.

    database_url: of the database, with whose login does not matter unless `embedded`: then everybody who has the
    one-use token works under it. uploads: a folder of our own for files that people send. hosts: the names by which the
    page may be asked, without port; none: by any.
    """

    settings: Settings
    database_url: str
    uploads: Path
    embedded: bool = False
    behind_proxy: bool = False
    tls: bool = False
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Site:
    """The running page. every_page: what the frame of every page shows, by its name in the templates."""

    host: Host
    door: Door
    shared: Shared = field(default_factory=Shared)
    every_page: Mapping[str, Callable[["Asked"], Any]] = field(default_factory=dict)
