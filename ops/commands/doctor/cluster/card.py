"""Whether a node's card is the one of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llama_swap_config.cluster.pod_resources import PRODUCT
from llama_swap_config.cluster.sharing import AtOnce
from llama_swap_config.fit.card import ON_THE_NODE, SHARED, USABLE_MIB
from ops.commands.doctor.cluster.check import EDIT, Check, not_known
from stacks.settings import Settings

_MEMORY = "nvidia.com/gpu.memory"
"""The label with the card's memory in MiB."""


def checks(labels: Mapping[str, str], settings: Settings) -> Iterator[Check]:
    """Check the card, which GPU Feature Discovery names in a node's labels.

    Args:
        labels: The node's.
        settings: Those with the card's figures.
    """
    gpu, label = settings.gpu, labels.get(PRODUCT)
    if label is None:
        yield not_known(
            "card",
            f"the node has no label {PRODUCT}; `nvidia-smi -L` there names the card",
            is_needed=False,
        )
        return
    product = label.removesuffix(SHARED)
    figures = (
        ""
        if product in USABLE_MIB
        else f", and gpu.usable_mib to memory.total less memory.reserved of `{ON_THE_NODE}` "
        "on the node,"
    )
    is_card = product == gpu.unshared_product
    is_shared = label != product and not isinstance(settings.sharing, AtOnce)
    yield Check(
        name="card",
        found=label,
        wanted=gpu.product,
        status="ok" if is_card and not is_shared else "wrong",
        is_needed=not is_card,
        remedy="The device plugin hands the card out several times; if others use it too, declare "
        f"them with sharing=AtOnce(...) {EDIT}."
        if is_card
        else f'Set gpu.product to "{label}"{figures} {EDIT}.',
    )
    memory = labels.get(_MEMORY, "")
    if is_card and memory.isdecimal():
        yield Check(
            name="GPU memory",
            found=f"{memory} MiB",
            wanted=f"{gpu.usable_mib} MiB",
            status="ok" if int(memory) >= gpu.usable_mib else "wrong",
            remedy=f"Set gpu.usable_mib {EDIT} to memory.total less memory.reserved of "
            f"`{ON_THE_NODE}` on the node.",
        )
