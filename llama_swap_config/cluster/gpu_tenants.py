"""Who else uses the card, and how a window takes it from them for a while."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImmichQueues:
    """The queues of an Immich whose jobs need its machine learning on the card.

    Without it those jobs fail at once, and are not tried again: so they are paused first.
    """

    url: str
    """As a pod reaches it: `http://immich-server.immich.svc.cluster.local:2283`."""
    api_key_secret: str | None = None
    """Secret in the endpoint's namespace with an administrator's IMMICH_API_KEY, for the CronJob
    that restores; left out: it cannot resume what a killed window left paused."""
    names: tuple[str, ...] = ("smartSearch", "faceDetection", "ocr")
    """The three that call machine learning, as Immich's API spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTenant:
    """A Deployment that holds the card."""

    namespace: str
    deployment: str
    queues: ImmichQueues | None = None
    """Its work, paused meanwhile; left out: it has none that would be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWindow:
    """How `python -m ops window` takes the card for a while, and who gives it back."""

    tenants: tuple[GpuTenant, ...]
    """Scaled to 0 in this order, and back in the same."""
    restore_schedule: str | None = "*/5 * * * *"
    """Cron: how often the cluster itself looks for a window past its deadline; None: never, and
    what a killed window took comes back with the next `python -m ops window --restore` only."""
