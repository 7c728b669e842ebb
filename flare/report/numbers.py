"""Numbers for the eye that can still be compared with the files they come from."""

from typing import Any

from markupsafe import Markup

Record = dict[str, Any]
MISSING = "–"


class ShownNumbers:
    """Formats numbers into elements with ``data-key`` and keeps what was shown, by key.

    A key is the path of the number in the run's files, such as ``after.success.rate``.
    """

    def __init__(self) -> None:
        self.shown: dict[str, float | int | None] = {}

    def percent(self, key: str, value: float | None, *, signed: bool = False) -> Markup:
        """Show a share as percent with one digit."""
        sign = "+" if signed else ""
        text = MISSING if value is None else f"{100 * value:{sign}.1f}".replace("-", "−")
        return self._element(key, value, text if value is None or signed else f"{text} %")

    def number(self, key: str, value: float | None, digits: int = 1) -> Markup:
        """Show a number with a fixed count of digits behind the point."""
        text = MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")
        return self._element(key, value, text)

    def p_value(self, key: str, value: float) -> Markup:
        """Show a p-value, tiny ones as a bound."""
        return self._element(key, value, "< 0.0001" if value < 1e-4 else f"{value:.2g}")

    def percent_interval(self, key: str, group: Record | None) -> Markup:
        """Show low and high of a share."""
        return self._interval(key, group, 100.0)

    def number_interval(self, key: str, group: Record | None) -> Markup:
        """Show low and high of a number."""
        return self._interval(key, group, 1.0)

    def _interval(self, key: str, group: Record | None, scale: float) -> Markup:
        if group is None:
            return Markup("")
        low, high = (
            self._element(f"{key}.{end}", group[end], f"{scale * group[end]:.1f}".replace("-", "−"))
            for end in ("low", "high")
        )
        return Markup('<span class="interval">[{}, {}]</span>').format(low, high)

    def _element(self, key: str, value: float | None, text: str) -> Markup:
        self.shown[key] = value
        return Markup('<span data-key="{}">{}</span>').format(key, text)
