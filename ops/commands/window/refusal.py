"""Why there is no window where nobody lends the card."""

from __future__ import annotations

from llama_swap_config.cluster.sharing import Alone, AtOnce


def no_window(sharing: Alone | AtOnce) -> str:
    """Return why there is no window in the other two ways to share the card."""
    if isinstance(sharing, Alone):
        return (
            "sharing is Alone() in stacks/production.py: nothing else uses the card, so there is "
            "nothing to borrow. Ask the endpoint directly"
        )
    names = ", ".join(tenant.name for tenant in sharing.co_tenants)
    return (
        f"sharing is AtOnce(...) in stacks/production.py: {names} and the endpoint run on the "
        "card at the same time, so there is nothing to borrow. Ask the endpoint directly"
    )
