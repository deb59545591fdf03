"""Which columns of the published panels play which part. Needs no package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Which file of the data folder, and which of its columns play which part."""

    file: tuple[str, str]
    channels: tuple[str, ...]
    controls: tuple[str, ...]
    organic: tuple[str, ...] = ()
    treatments: tuple[str, ...] = ()

    @property
    def exposure(self) -> list[str]:
        """Return the columns of paid exposure."""
        return [f"{name}_impression" for name in self.channels]

    @property
    def spend(self) -> list[str]:
        """Return the columns of spend."""
        return [f"{name}_spend" for name in self.channels]


GEO_MEDIA = Columns(
    ("meridian_simulated", "geo_media.csv"),
    tuple(f"Channel{i}" for i in range(4)),
    ("competitor_activity_score_control", "sentiment_score_control"),
)
GEO_ALL_CHANNELS = Columns(
    ("meridian_simulated", "geo_all_channels.csv"),
    tuple(f"Channel{i}" for i in range(5)),
    ("competitor_sales_control", "sentiment_score_control"),
    ("Organic_channel0_impression",),
    ("Promo",),
)
