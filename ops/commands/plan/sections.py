"""Write the sections of a plan, the most important one for a merge first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ops.commands.plan.budget import Budget, Extent
from ops.commands.plan.comparison import Comparison, Refreshed
from ops.commands.plan.consumers import ConsumerChange
from ops.commands.plan.models import FileChange, Files, ModelChange
from ops.commands.plan.objects import ObjectChange
from ops.commands.plan.pools import Action as PoolAction
from ops.commands.plan.pools import Move, PoolChange
from ops.commands.plan.sentence import of_pools, sentence, title, tone
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
    separated,
)
from ops.report.words import duration, size
from ops.terraform.changes import VERBS
from ops.terraform.field_values import before_and_after
from ops.terraform.plan_document import TONES, terraform_document

_POOL_TONES: dict[PoolAction, Tone] = {
    "added": "added",
    "kept": "",
    "renamed": "changed",
    "removed": "removed",
}


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
    stand_ins = tuple(
        (Value(line),)
        for line in dict.fromkeys(
            line for budget in comparison.budgets.values() for line in budget.stand_ins
        )
    )
    if stand_ins:
        yield Section(
            title="Not for a real cluster",
            blocks=(Listing(lines=stand_ins, tone="bad"),),
            importance=7,
        )
    pools = tuple(_pool_row(pool) for pool in comparison.pools if pool.action != "kept")
    if pools:
        header = ("", "pool", "namespace", "node", "card", "volume")
        yield Section(title="Pools", blocks=(Table(header=header, rows=pools),), importance=6)
    if comparison.models is None and comparison.problem is None:
        lines: tuple[Line, ...] = (("The base's models and files are unknown.",),)
        yield Section(title="Models", blocks=(Listing(lines=lines),), importance=5)
    elif comparison.models:
        moves = tuple(_move(move, comparison) for move in comparison.moves)
        blocks = ((Listing(lines=moves),) if moves else ()) + (_models(comparison.models),)
        yield Section(title="Models", blocks=blocks, importance=5)
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
        yield Section(
            title="Files",
            blocks=tuple(_files(comparison.files, comparison.rate_mb_s)),
            importance=2,
        )
    if comparison.budgets and (comparison.differs or comparison.problem is not None):
        yield Section(
            title="Cards and volumes" if comparison.pools else "Card and volume",
            blocks=_budgets(comparison),
            importance=3,
        )


def _pool_row(pool: PoolChange) -> Row:
    name: Line = (Value(pool.name),)
    if pool.action == "renamed":
        name = (Value(pool.was), " is now ", Value(pool.name))
    cells: tuple[Line, ...] = (
        (pool.action,),
        name,
        (Value(pool.namespace),),
        separated(", ", (f"{key}={value}" for key, value in pool.node.items())),
        () if pool.budget is None else (Value(pool.budget.card),),
        ("its own",) if pool.volume == pool.name else ("that of ", Value(pool.volume)),
    )
    return Row(cells, _POOL_TONES[pool.action])


def _move(move: Move, comparison: Comparison) -> Line:
    """Say where a model lives, what that downloads, and which pods it restarts."""
    old, new = move.before[0], move.after[0]
    line: Line = (Value(move.model), " stays in ", Value(new))
    if old != new:
        line = (Value(move.model), " moves from ", Value(old), " to ", Value(new))
    if seconds := move.after[1:]:
        line += (", its second home is ", *separated(", ", seconds))
    elif move.before[1:]:
        line += (", without a second home",)
    downloads = [
        (f"{size(size_bytes)} to download to the volume of ", Value(volume))
        if volume
        else (f"{size(size_bytes)} to download",)
        for volume, size_bytes in move.download_bytes.items()
    ] or [("nothing to download",)]
    changed = {*move.before} ^ {*move.after}
    restarting = [
        pool
        for change in comparison.happening
        if change.is_endpoint and change.restarts
        if (pool := comparison.pool_of(change)) in changed
    ]
    pods = of_pools("pod", restarting, "restarts", "restart")
    return (*line, *(word for part in (*downloads, *pods) for word in ("; ", *part)), ".")


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
            Value(change.label),
            " has prevent_destroy and would be replaced.",
        )
        for change in comparison.refused
    ]
    bad += [
        (
            f"A deploy refuses to {VERBS[change.action]} {change.kind} ",
            Value(change.label),
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
            Value(change.label),
            " restarts because of ",
            *_joined([_reason(field.parts, field.kubernetes_path) for field in change.restarts]),
            ".",
        )
    if change.forced_by:
        yield (
            f"{change.kind} ",
            Value(change.label),
            " is replaced: ",
            *_joined([field.kubernetes_path for field in change.forced_by]),
            " cannot be changed in place.",
        )


def _reason(parts: tuple[str, ...], path: str) -> str:
    return parts[-1] if "annotations" in parts else path


def _joined(names: list[str]) -> Line:
    if len(names) <= 4:
        return separated(", ", names)
    return (*separated(", ", names[:3]), f", {len(names) - 3} more fields")


def _object_rows(change: ObjectChange) -> Iterator[Row]:
    tone = TONES[change.action]
    head: tuple[Line, ...] = ((VERBS[change.action],), (f"{change.kind} ", Value(change.label)))
    if not change.fields:
        yield Row((*head, (), (), ()), tone)
    for field in change.fields:
        cells = before_and_after(field.parts, field.before, field.after)
        yield Row((*head, (Value(field.kubernetes_path),), *cells), tone)
        head = ((), ())


def _files(files: Files, rate_mb_s: float) -> Iterator[Block]:
    lines: list[Line] = []
    volumes = dict.fromkeys(file.volume for file in (*files.download, *files.free))
    for volume in volumes:
        of: Line = (" of ", Value(volume)) if volume else ()
        needed = sum(file.size_bytes for file in files.download if file.volume == volume)
        free = sum(file.size_bytes for file in files.free if file.volume == volume)
        if needed:
            time = duration(needed / (rate_mb_s * 1e6))
            to: Line = (" to the volume", *of) if volume else ()
            lines.append((f"{size(needed)} to download", *to, f": {time} at {rate_mb_s:g} MB/s."))
        if free:
            lines.append(
                ("The upkeep", *of, f" frees {size(free)} after its grace period."),
            )
    yield Listing(lines=tuple(lines))
    several = any(volumes)
    rows = [_file("download", file, "added", several=several) for file in files.download]
    rows += [_file("free", file, "removed", several=several) for file in files.free]
    header = ("", "file", "repository", *(("volume",) if several else ()), "size")
    yield Table(header=header, rows=tuple(rows), numbers=frozenset({len(header) - 1}))


def _file(word: str, file: FileChange, tone: Tone, *, several: bool) -> Row:
    cells: tuple[Line, ...] = (
        (word,),
        (Value(file.name),),
        (Value(file.repository),),
        *(((Value(file.volume),),) if several else ()),
        (size(file.size_bytes),),
    )
    return Row(cells, tone)


def _budgets(comparison: Comparison) -> tuple[Block, ...]:
    """Write each pool's budget into one table; the only pool has no name."""
    lines: list[Line] = []
    rows: list[Row] = []
    changes = {change.name: change for change in comparison.pools}
    for pool, budget in comparison.budgets.items():
        subject: Line = (Value(pool), ": ") if pool else ()
        lines += [(*subject, *line) for line in _about(budget, changes.get(pool))]
        rows += _loads(budget, pool)
    columns = ("on the card", "before, MiB", "after, MiB", "spare, MiB")
    header = ("pool", *columns) if comparison.pools else columns
    numbers = frozenset(range(len(header) - 3, len(header)))
    return (Listing(lines=tuple(lines)), Table(header=header, rows=tuple(rows), numbers=numbers))


def _loads(budget: Budget, pool: str) -> Iterator[Row]:
    for load in budget.loads:
        is_bad = load.spare_mib is not None and load.spare_mib < 0
        cells: tuple[Line, ...] = (
            *(((Value(pool),),) if pool else ()),
            separated(" + ", load.models),
            *(() if mib is None else (f"{mib:.0f}",) for mib in (load.before_mib, load.after_mib)),
            () if load.spare_mib is None else (_spare(load.spare_mib),),
        )
        yield Row(cells, "bad" if is_bad else "")


def _about(budget: Budget, pool: PoolChange | None) -> Iterator[Line]:
    """Write the card, the engine and the volume of a pool; None: it is the only one."""
    is_new = pool is not None and pool.action == "added"
    yield ("Card: ", Value(budget.card), ".")
    if budget.card_before is None and not is_new:
        yield ("The base's budget is unknown.",)
    elif budget.card_before not in (None, budget.card):
        yield ("Card before: ", Value(budget.card_before or ""), ".")
    if budget.other_engine:
        builds = f"b{budget.engine_build_before} before, b{budget.engine_build} after"
        yield (f"llama.cpp: {builds}.",)
    if pool is not None and pool.volume != pool.name:
        yield ("Volume: that of ", Value(pool.volume), ".")
    else:
        had_none = is_new or (budget.volume_before is None and budget.card_before is not None)
        before = "" if had_none else f"{_extent(budget.volume_before)} before, "
        after = _extent(budget.volume)
        yield (f"Volume: {before}{after} after, while the largest model is replaced.",)
    for note in budget.notes:
        yield (note,)


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
