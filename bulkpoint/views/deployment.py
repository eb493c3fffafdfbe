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
        return cls({setting.name: SettingView(value=setting.value, source=setting.source) for setting in shown})

    def as_text(self, screen: Screen) -> list[str]:  # noqa: ARG002 (has no times)
        rows = [(name, setting.value, setting.source) for name, setting in self.root.items()]
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
        fields = [{"login": row.login, "right": row.permission, "granted_at": row.granted_at} for row in granted]
        return cls.model_validate({"rights": fields})

    def as_text(self, screen: Screen) -> list[str]:
        rows, may = [("LOGIN", "RIGHT", "SINCE", "MAY")], words("en")["rights"]
        for view in self.rights:
            rows.append(
                (escaped(view.login), view.right, local_time(view.granted_at, screen.timezone), may[view.right])
            )
        return aligned(rows, left=rows[0])
