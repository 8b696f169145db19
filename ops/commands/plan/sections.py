"""Write the sections of a plan, the most important one for a merge first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ops.commands.plan.budget import Budget, Extent
from ops.commands.plan.comparison import Comparison, Refreshed
from ops.commands.plan.consumers import ConsumerChange
from ops.commands.plan.models import FileChange, Files, ModelChange
from ops.commands.plan.objects import ObjectChange
from ops.commands.plan.sentence import sentence, title, tone
from ops.report.document import (
    Block,
    Diff,
    Document,
    Line,
    Listing,
    Row,
    Section,
    Table,
    Tone,
    Value,
)
from ops.report.words import duration, size
from ops.terraform.changes import VERBS
from ops.terraform.field_values import before_and_after
from ops.terraform.plan_document import TONES, terraform_document


def document(comparison: Comparison) -> Document:
    """Write a comparison as a document."""
    base = comparison.base
    note: Line = ("Compared with ", Value(base.commit[:12]), " (", Value(base.name), ").")
    compared = Document(
        title=title(comparison),
        sentence=sentence(comparison),
        note=note,
        sections=tuple(_sections(comparison)),
        tone=tone(comparison),
    )
    return compared if comparison.refreshed is None else _below(comparison.refreshed, compared)


def _below(refreshed: Refreshed, compared: Document) -> Document:
    """Put a comparison of branches below Terraform's plan, which is what a deploy would do."""
    real = terraform_document(refreshed.verdict)
    own = Section(
        title="Comparison of the two branches",
        blocks=(
            Listing(lines=(compared.sentence, compared.note)),
            *_disagreements(refreshed),
        ),
        importance=6,
    )
    return replace(real, sections=(*real.sections, own, *compared.sections))


def _sections(comparison: Comparison) -> Iterator[Section]:
    if comparison.base_problem is not None:
        line: Line = ("The base does not synthesize: ", Value(comparison.base_problem))
        yield Section(title="Base", blocks=(Listing(lines=(line,), tone="bad"),), importance=7)
    if comparison.budget is not None and comparison.budget.stand_ins:
        stand_ins = tuple((Value(line),) for line in comparison.budget.stand_ins)
        yield Section(
            title="Not for a real cluster",
            blocks=(Listing(lines=stand_ins, tone="bad"),),
            importance=7,
        )
    if comparison.models is None and comparison.problem is None:
        lines: tuple[Line, ...] = (("The base's models and files are unknown.",),)
        yield Section(title="Models", blocks=(Listing(lines=lines),), importance=5)
    elif comparison.models:
        yield Section(title="Models", blocks=(_models(comparison.models),), importance=5)
    if comparison.consumers:
        yield Section(title="Consumers", blocks=(_consumers(comparison.consumers),), importance=5)
    if (
        comparison.objects
        or comparison.settings
        or comparison.no_longer_guarded
        or comparison.no_longer_set
    ):
        yield Section(title="Objects", blocks=tuple(_objects(comparison)), importance=4)
    if comparison.front_end:
        yield Section(title="Front end", blocks=(Diff(lines=comparison.front_end),), importance=1)
    if comparison.files is not None and (comparison.files.download or comparison.files.free):
        blocks = _files(comparison.files, comparison.rate_mb_s)
        yield Section(title="Files", blocks=blocks, importance=2)
    if comparison.budget is not None and (comparison.differs or comparison.problem is not None):
        yield Section(title="Card and volume", blocks=_budget(comparison.budget), importance=3)


def _models(changes: tuple[ModelChange, ...]) -> Table:
    rows = []
    for change in changes:
        name: Line = (Value(change.id),)
        if change.action == "renamed":
            name = (Value(change.was), " is now ", Value(change.id))
        head: tuple[Line, ...] = ((change.action,), name)
        tone: Tone = "changed" if change.action == "renamed" else change.action
        if change.action in ("added", "removed"):
            rows.append(Row((*head, ("files",), *_either(change)), tone))
            head = ((), ())
        elif not change.fields:
            rows.append(Row((*head, (), (), ()), tone))
        for field in change.fields:
            cells = before_and_after(field.name.split("."), field.before, field.after)
            rows.append(Row((*head, (Value(field.name),), *cells), tone))
            head = ((), ())
    return Table(header=("", "model", "field", "before", "after"), rows=tuple(rows))


def _consumers(changes: tuple[ConsumerChange, ...]) -> Table:
    rows = []
    for change in changes:
        head: tuple[Line, ...] = ((change.action,), (Value(change.name),))
        if not change.fields:
            rows.append(Row((*head, (), (), ()), change.action))
        for field in change.fields:
            cells = before_and_after((field.name,), field.before, field.after)
            rows.append(Row((*head, (Value(field.name),), *cells), change.action))
            head = ((), ())
    return Table(header=("", "consumer", "field", "before", "after"), rows=tuple(rows))


def _either(change: ModelChange) -> tuple[Line, Line]:
    shown: Line = (size(change.size_bytes),)
    return ((), shown) if change.action == "added" else (shown, ())


def _objects(comparison: Comparison) -> Iterator[Block]:
    deployed = " if it is deployed" if comparison.refreshed is None else ""
    bad: list[Line] = [
        (
            f"Terraform refuses this plan{deployed}: {change.kind} ",
            Value(change.name),
            " has prevent_destroy and would be replaced.",
        )
        for change in comparison.refused
    ]
    bad += [
        (
            f"A deploy refuses to {VERBS[change.action]} {change.kind} ",
            Value(change.name),
            f"{deployed} unless --allow-removal ",
            Value(change.address),
            " names it.",
        )
        for change in comparison.named_only
    ]
    bad += [
        ("prevent_destroy no longer guards ", Value(name), ".")
        for name in comparison.no_longer_guarded
    ]
    bad += [("Terraform no longer sets ", Value(field), ".") for field in comparison.no_longer_set]
    if bad:
        yield Listing(lines=tuple(bad), tone="bad")
    notes = [line for change in comparison.happening for line in _why(change)]
    if notes:
        yield Listing(lines=tuple(notes))
    rows = [row for change in comparison.objects for row in _object_rows(change)]
    for index, field in enumerate(comparison.settings):
        head: tuple[Line, ...] = (("change",), ("Terraform",)) if index == 0 else ((), ())
        cells = before_and_after(field.parts, field.before, field.after)
        rows.append(Row((*head, (Value(field.path),), *cells), "changed"))
    if rows:
        yield Table(header=("", "object", "field", "before", "after"), rows=tuple(rows))


def _why(change: ObjectChange) -> Iterator[Line]:
    if change.restarts:
        yield (
            f"The pod of {change.kind} ",
            Value(change.name),
            " restarts because of ",
            *_joined([_reason(field.parts, field.kubernetes_path) for field in change.restarts]),
            ".",
        )
    if change.forced_by:
        yield (
            f"{change.kind} ",
            Value(change.name),
            " is replaced: ",
            *_joined([field.kubernetes_path for field in change.forced_by]),
            " cannot be changed in place.",
        )


def _reason(parts: tuple[str, ...], path: str) -> str:
    return parts[-1] if "annotations" in parts else path


def _joined(names: list[str]) -> Line:
    if len(names) <= 4:
        return _separated(", ", names)
    return (*_separated(", ", names[:3]), f", {len(names) - 3} more fields")


def _separated(separator: str, names: Iterable[str]) -> Line:
    parts = [part for name in names for part in (separator, Value(name))]
    return tuple(parts[1:])


def _object_rows(change: ObjectChange) -> Iterator[Row]:
    tone = TONES[change.action]
    head: tuple[Line, ...] = ((VERBS[change.action],), (f"{change.kind} ", Value(change.name)))
    if not change.fields:
        yield Row((*head, (), (), ()), tone)
    for field in change.fields:
        cells = before_and_after(field.parts, field.before, field.after)
        yield Row((*head, (Value(field.kubernetes_path),), *cells), tone)
        head = ((), ())


def _files(files: Files, rate_mb_s: float) -> tuple[Block, ...]:
    needed = files.download_bytes
    lines: list[Line] = []
    if files.download:
        time = duration(needed / (rate_mb_s * 1e6))
        lines.append((f"{size(needed)} to download: {time} at {rate_mb_s:g} MB/s.",))
    if files.free:
        lines.append((f"The upkeep frees {size(files.free_bytes)} after its grace period.",))
    rows = [_file("download", file, "added") for file in files.download]
    rows += [_file("free", file, "removed") for file in files.free]
    table = Table(
        header=("", "file", "repository", "size"), rows=tuple(rows), numbers=frozenset({3})
    )
    return (Listing(lines=tuple(lines)), table)


def _file(word: str, file: FileChange, tone: Tone) -> Row:
    cells: tuple[Line, ...] = (
        (word,),
        (Value(file.name),),
        (Value(file.repository),),
        (size(file.size_bytes),),
    )
    return Row(cells, tone)


def _budget(budget: Budget) -> tuple[Block, ...]:
    rows = []
    for load in budget.loads:
        is_bad = load.spare_mib is not None and load.spare_mib < 0
        cells: tuple[Line, ...] = (
            _separated(" + ", load.models),
            *(() if mib is None else (f"{mib:.0f}",) for mib in (load.before_mib, load.after_mib)),
            () if load.spare_mib is None else (_spare(load.spare_mib),),
        )
        rows.append(Row(cells, "bad" if is_bad else ""))
    table = Table(
        header=("on the card", "before, MiB", "after, MiB", "spare, MiB"),
        rows=tuple(rows),
        numbers=frozenset({1, 2, 3}),
    )
    lines: list[Line] = [("Card: ", Value(budget.card), ".")]
    if budget.card_before is None:
        lines.append(("The base's budget is unknown.",))
    elif budget.card_before != budget.card:
        lines.append(("Card before: ", Value(budget.card_before), "."))
    if budget.other_engine:
        builds = f"b{budget.engine_build_before} before, b{budget.engine_build} after"
        lines.append((f"llama.cpp: {builds}.",))
    before, after = _extent(budget.volume_before), _extent(budget.volume)
    lines.append(
        (f"Volume: {before} before, {after} after, while the largest model is replaced.",)
    )
    lines += [(note,) for note in budget.notes]
    return (Listing(lines=tuple(lines)), table)


def _spare(spare_mib: float) -> str:
    return f"{spare_mib:.0f}" if spare_mib >= 0 else f"does not fit: {spare_mib:.0f}"


def _extent(extent: Extent | None) -> str:
    if extent is None:
        return "unknown"
    return f"{size(extent.needed_bytes)} of {size(extent.size_bytes)}"


def _disagreements(refreshed: Refreshed) -> Iterator[Block]:
    if refreshed.nothing_deployed:
        yield Listing(lines=(("Nothing is deployed yet, so Terraform adds every object.",),))
        return
    if not refreshed.disagreements:
        yield Listing(lines=(("Terraform agrees with the comparison.",),))
        return
    lines = [
        (
            f"{disagreement.kind} ",
            Value(disagreement.name),
            f": {disagreement.reason}",
            *((": ", *_joined(list(disagreement.fields))) if disagreement.fields else ()),
            ".",
        )
        for disagreement in refreshed.disagreements
    ]
    yield Listing(lines=tuple(lines), tone="bad")
