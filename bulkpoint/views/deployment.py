"""What this installation is: its settings, and who may do what."""

from collections.abc import Iterable
from typing import Self

from pydantic import RootModel

from bulkpoint.rules.rights import Right
from bulkpoint.settings import ShownSetting
from bulkpoint.store.right import GrantedRight
from bulkpoint.text import escaped
from bulkpoint.views.format import aligned, local_time
from bulkpoint.views.languages import words
from bulkpoint.views.view import Moment, Screen, View


class SettingView(View):
    """A setting as it may be shown, and where its value comes from."""

    value: str
    source: str


class SettingsView(View, RootModel[dict[str, SettingView]]):
    """Every setting by its name. Secrets are never shown."""

    printed_by = ("settings",)

    @classmethod
    def of(cls, shown: Iterable[ShownSetting]) -> Self:
        """The view of `settings`."""
        return cls({one.name: SettingView(value=one.value, source=one.source) for one in shown})

    def as_text(self, screen: Screen) -> list[str]:  # noqa: ARG002 (has no times)
        rows = [(name, one.value, one.source) for name, one in self.root.items()]
        return aligned(rows, left=rows[0])


class RightView(View):
    """A right that a database login has."""

    login: str
    right: Right
    granted_at: Moment


class RightsView(View):
    """All rights, by login."""

    printed_by = ("right list",)

    rights: list[RightView]

    @classmethod
    def of(cls, granted: Iterable[GrantedRight]) -> Self:
        """The view of `right list`."""
        fields = [{"login": one.login, "right": one.permission, "granted_at": one.granted_at} for one in granted]
        return cls.model_validate({"rights": fields})

    def as_text(self, screen: Screen) -> list[str]:
        rows, may = [("LOGIN", "RIGHT", "SINCE", "MAY")], words("en")["rights"]
        for one in self.rights:
            rows.append((escaped(one.login), one.right, local_time(one.granted_at, screen.timezone), may[one.right]))
        return aligned(rows, left=rows[0])
