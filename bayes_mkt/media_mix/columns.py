"""Which columns of a frame a media panel reads, and what must hold for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bayes_mkt.frames import Column, Problems, listed

__all__ = ["LEAST_FREQUENCY", "ROUNDING", "Roles", "panel_columns"]

LEAST_FREQUENCY: Final = 0.95
"""Whoever was reached was reached once at least; estimates of the two may miss that by 5 %."""
ROUNDING: Final = 1e-6

_MEDIA_MISSING = "Write 0 where there was none; media must be known in every row."


@dataclass(frozen=True)
class Roles:
    """What the user said that each column is, as given to `MediaPanel.from_frame`."""

    sales: str
    date: str
    region: str | None
    spend: Mapping[str, str]
    exposure: Mapping[str, str]
    reach: Mapping[str, str]
    frequency: Mapping[str, str]
    controls: tuple[str, ...]
    population: str | None
    revenue_per_sale: str | None
    mask_sales: bool

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels with spend, then those with exposure only, then those with reach only."""
        return tuple(dict.fromkeys([*self.spend, *self.exposure, *self.reach]))

    @classmethod
    def checked(
        cls,
        problems: Problems,
        *,
        sales: str,
        date: str,
        region: str | None,
        spend: object,
        exposure: object,
        reach: object,
        frequency: object,
        controls: object,
        population: str | None,
        revenue_per_sale: str | None,
        currency: object,
        missing_sales: object,
    ) -> Roles:
        """Return the roles that make sense, noting the rest."""
        if currency is not None and not (isinstance(currency, str) and currency.strip()):
            problems.add(
                f"currency is text such as 'EUR', but got {currency!r}. Leave it out if unknown."
            )
        if missing_sales not in ("error", "mask"):
            problems.add(f"missing_sales is 'error' or 'mask', but got {missing_sales!r}.")
        roles = cls(
            sales=sales,
            date=date,
            region=region,
            spend=_channels(spend, "spend", problems),
            exposure=_channels(exposure, "exposure", problems),
            reach=_channels(reach, "reach", problems),
            frequency=_channels(frequency, "frequency", problems),
            controls=_controls(controls, problems),
            population=population,
            revenue_per_sale=revenue_per_sale,
            mask_sales=missing_sales == "mask",
        )
        _check_names(roles, spend, exposure, problems)
        _check_pairs(roles, problems)
        return roles


def panel_columns(roles: Roles) -> dict[str, Column]:
    """Return the columns to read: one key for each role, ``"spend:tv"`` for a channel's spend."""
    missing: Literal["refuse", "keep"] = "keep" if roles.mask_sales else "refuse"
    partner = "sales" if roles.mask_sales else None
    columns = {
        "date": Column(roles.date, "date", "date", locates=True),
        "sales": Column(
            roles.sales,
            "sales",
            minimum=0,
            missing=missing,
            remedy="book returns in the period of the sale before loading",
            missing_remedy=(
                "Drop the rows, or pass missing_sales='mask' to leave out their sales but keep "
                "their media."
            ),
        ),
    }
    if roles.region is not None:
        columns = {"region": Column(roles.region, "region", "label", locates=True)} | columns
    for channel, name in roles.spend.items():
        columns[f"spend:{channel}"] = _media("spend", channel, name, "net refunds before loading")
    for channel, name in roles.exposure.items():
        remedy = "net cancelled deliveries before loading"
        columns[f"exposure:{channel}"] = _media("exposure", channel, name, remedy)
    for channel, name in roles.reach.items():
        remedy = "give the number of different people reached in the period"
        columns[f"reach:{channel}"] = _media("reach", channel, name, remedy)
    for channel, name in roles.frequency.items():
        columns[f"frequency:{channel}"] = Column(
            name,
            "frequency",
            part=f"channel {channel!r}",
            minimum=0,
            missing="keep",
            remedy="give impressions divided by reach",
        )
    shares = frozenset({"revenue_per_sale"})
    for name in roles.controls:
        columns[f"control:{name}"] = Column(
            name,
            "control",
            missing_with=partner,
            shares=shares,
            missing_remedy="Fill in what is missing, or drop these rows, which masks their sales.",
        )
    if roles.population is not None:
        remedy = "give the number of people in each region"
        columns["population"] = Column(roles.population, "population", positive=True, remedy=remedy)
    if roles.revenue_per_sale is not None:
        columns["revenue_per_sale"] = Column(
            roles.revenue_per_sale,
            "revenue per sale",
            positive=True,
            missing_with=partner,
            shares=frozenset(f"control:{name}" for name in roles.controls),
            remedy="give the price of a unit before loading",
        )
    return columns


def _media(
    role: Literal["spend", "exposure", "reach"], channel: str, name: str, remedy: str
) -> Column:
    """Return a channel's spend or exposure; one column may be both."""
    return Column(
        name,
        role,
        part=f"channel {channel!r}",
        minimum=0,
        remedy=remedy,
        missing_remedy=_MEDIA_MISSING,
        shares=frozenset({f"spend:{channel}", f"exposure:{channel}"}),
    )


def _channels(given: object, what: str, problems: Problems) -> dict[str, str]:
    """Return channel -> column for the channels with a usable name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        problems.add(
            f"{what} is a dictionary from channel to column, such as "
            f"{{'tv': 'tv_{what}'}}, but got {given!r}."
        )
        return {}
    unnamed = [name for name in given if not (isinstance(name, str) and name.strip())]
    if unnamed:
        problems.add(
            f"{what} has channels without a name: {listed(map(repr, unnamed))}. "
            "Name each channel by text, such as 'tv'."
        )
    return {name: column for name, column in given.items() if name not in unnamed}


def _controls(given: object, problems: Problems) -> tuple[str, ...]:
    """Return the control columns, each once."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        problems.add(f"controls is a list of columns, but got {given!r}. Write [{given!r}].")
        return ()
    names = list(given)
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        problems.add(f"controls names {listed(map(repr, twice))} more than once. Name it once.")
    return tuple(name for i, name in enumerate(names) if name not in names[:i])


def _check_names(roles: Roles, spend: object, exposure: object, problems: Problems) -> None:
    """Note channels that can't be told from each other, or from a control."""
    if not roles.channels and not spend and not exposure:
        problems.add(
            "spend and exposure name no channel. Give one or more, such as "
            "spend={'tv': 'tv_spend'}."
        )
    for name in roles.controls:
        if name in roles.channels:
            problems.add(
                f"{name!r} is both a channel and a control. Rename the channel, or drop the "
                "control if it is the same quantity."
            )
    spellings: dict[str, list[str]] = {}
    for name in roles.channels:
        spellings.setdefault(name.casefold().strip(), []).append(name)
    for names in spellings.values():
        if len(names) > 1:
            problems.add(
                f"channels {listed(map(repr, names))} differ only in case or blanks. Use one "
                "name for spend and exposure of the same channel."
            )


def _check_pairs(roles: Roles, problems: Problems) -> None:
    """Note channels with reach but no frequency, or the reverse, or with exposure as well."""
    for one, other in (("reach", "frequency"), ("frequency", "reach")):
        for name in getattr(roles, one):
            if name not in getattr(roles, other):
                problems.add(
                    f"channel {name!r} has {one} but no {other}. Give both, or the channel's "
                    "impressions as exposure."
                )
    for name in roles.reach:
        if name in roles.exposure:
            problems.add(
                f"channel {name!r} has exposure and reach. Give either impressions as exposure, "
                "or reach and frequency."
            )
