"""The photos in the report: disagreements, each model's best and worst, missed favourites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from markupsafe import Markup

from ops.commands.bench.report import svg
from ops.commands.bench.report.standings import Standings
from ops.commands.bench.report.thumbnails import Thumbnail
from ops.commands.bench.results import ModelRun, Photo
from ops.commands.bench.words import cut, number

_DISAGREED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model's score and rank below a photo."""

    key: Markup
    model: str
    words: str
    criteria: str
    """Its scores by criterion; empty: it was asked for one score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One photo."""

    name: str
    thumbnail: Thumbnail | None
    owner: str
    """The owner's judgement in words; empty: none."""
    is_favourite: bool
    lines: tuple[Line, ...]
    strip: Markup
    """Its ranks from first to last; empty if there is only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """One model's best and worst photos."""

    key: Markup
    name: str
    favourites: int | None
    """Favourites among the best; None: none are known."""
    best: tuple[Card, ...]
    worst: tuple[Card, ...]
    missed: tuple[Card, ...]
    """The owner's favourites in its lower half, the lowest first."""
    note: str
    """Why there are no photos; empty: there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The indices of the chosen photos."""

    disagreed: tuple[int, ...]
    best: Mapping[str, tuple[int, ...]]
    worst: Mapping[str, tuple[int, ...]]
    missed: Mapping[str, tuple[int, ...]]

    def wanted(self) -> Iterator[int]:
        """Yield the most telling photos first, one model after the other."""
        yield from self.disagreed
        for kind in (self.best, self.worst, self.missed):
            for row in zip_longest(*kind.values()):
                yield from (index for index in row if index is not None)


def choose(standings: Standings) -> Choice:
    """Choose the photos.

    One or two models show a dozen of their best and worst photos each, more models show fewer, so
    that most photos have a picture.
    """
    spreads = sorted(
        ((standings.spread(index), -index) for index in range(len(standings.photos))), reverse=True
    )
    disagreed = tuple(-index for spread, index in spreads[:_DISAGREED] if spread > 0)
    models = len(standings.models)
    each_most = 12 if models <= 2 else 6 if models <= 4 else 3
    best, worst, missed = {}, {}, {}
    for model in standings.models:
        ranked = standings.ranked(model)
        half = len(ranked) // 2
        best[model.id] = ranked[: min(each_most, (len(ranked) + 1) // 2)]
        worst[model.id] = ranked[::-1][: min(each_most, half)]
        lower = [
            index
            for index in ranked[::-1]
            if standings.photos[index].favourite
            and (standings.places[model.id][index].rank or 0) > (len(ranked) + 1) / 2
        ]
        missed[model.id] = tuple(lower[: max(3, each_most // 2)])
    return Choice(disagreed=disagreed, best=best, worst=worst, missed=missed)


def disagreement(
    standings: Standings, choice: Choice, thumbnails: Mapping[int, Thumbnail]
) -> tuple[Card, ...] | str:
    """Show where the models disagree most, or return why not."""
    if len(standings.compared) < 2:
        return "Fewer than two models answered enough questions to be compared."
    if not choice.disagreed:
        return "The models rank the photos in the same order."
    card = _card_maker(standings, thumbnails, with_scores=False)
    return tuple(card(index, standings.compared) for index in choice.disagreed)


def extremes(
    standings: Standings, choice: Choice, thumbnails: Mapping[int, Thumbnail]
) -> tuple[Extremes, ...]:
    """Show each model's best and worst photos."""
    card = _card_maker(standings, thumbnails, with_scores=True)
    known = any(photo.favourite for photo in standings.photos)

    def cards(model: ModelRun, indices: Sequence[int]) -> tuple[Card, ...]:
        return tuple(card(index, (model,)) for index in indices)

    return tuple(
        Extremes(
            key=svg.key(place),
            name=model.name or model.id,
            favourites=sum(
                bool(standings.photos[index].favourite) for index in choice.best[model.id]
            )
            if known
            else None,
            best=cards(model, choice.best[model.id]),
            worst=cards(model, choice.worst[model.id]),
            missed=cards(model, choice.missed[model.id]),
            note="" if choice.best[model.id] else "This model did not rank any photo.",
        )
        for place, model in enumerate(standings.models)
    )


def _card_maker(
    standings: Standings, thumbnails: Mapping[int, Thumbnail], *, with_scores: bool
) -> Callable[[int, Sequence[ModelRun]], Card]:
    marks = {model.id: place for place, model in enumerate(standings.models)}
    sizes = {model.id: len(standings.ranked(model)) for model in standings.models}

    def card(index: int, models: Sequence[ModelRun]) -> Card:
        photo = standings.photos[index]
        lines, strip = [], []
        for model in models:
            place = standings.places[model.id][index]
            if place.rank is None:
                continue
            lines.append(
                Line(
                    key=svg.key(marks[model.id]),
                    model=cut(model.name or model.id, 24),
                    words=f"{number(place.score)}, rank {place.rank:g} of {sizes[model.id]}"
                    if with_scores
                    else f"rank {place.rank:g}",
                    criteria=", ".join(
                        f"{cut(name, 24)} {number(value, 1)}"
                        for name, value in place.criteria.items()
                        if with_scores
                    ),
                )
            )
            strip.append((marks[model.id], place.rank / max(1, sizes[model.id])))
        return Card(
            name=cut(photo.name),
            thumbnail=thumbnails.get(index),
            owner=judgement(photo),
            is_favourite=bool(photo.favourite),
            lines=tuple(lines),
            strip=_strip(strip) if len(strip) > 1 else Markup(""),
        )

    return card


def judgement(photo: Photo) -> str:
    """Return the owner's judgement in words."""
    words = ["your favourite"] if photo.favourite else []
    if photo.rating is not None:
        words.append("you rejected it" if photo.rating < 0 else f"you gave it {photo.rating} of 5")
    return ", ".join(words)


def _strip(places: Sequence[tuple[int, float]]) -> Markup:
    return svg.element(
        "svg",
        svg.line(8, 10, 192, 10, "axis"),
        *(svg.marker(mark, 8 + 184 * share, 10) for mark, share in places),
        class_="strip",
        viewBox="0 0 200 20",
        aria_hidden="true",
    )
