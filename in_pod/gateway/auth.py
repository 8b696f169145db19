"""LiteLLM's `custom_auth`. Importing it also puts the checks in front of LiteLLM's app.

LiteLLM imports it when it reads its configuration, before it answers anybody. Its own app exists
by then, so the checks wrap what the app calls.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import litellm
from fastapi import HTTPException, Request
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy._types import UserAPIKeyAuth
from litellm.types.utils import all_litellm_params
from starlette.middleware.cors import CORSMiddleware

from .admission import Admission
from .asgi import CONSUMER, Admit, Checks, Forward
from .asgi_types import Send
from .asking import asking
from .contract import ENDPOINT_KEY_VARIABLE, KEY_PREFIX, KEYS_VARIABLE, POLICY_VARIABLE
from .control_fields import CONTROL_FIELDS
from .deployment import admitted
from .fetching import Fetcher
from .first_answer import answer
from .front_end import FrontEnd
from .keys import Keys
from .metrics import Metrics, watch_keys
from .native import Native
from .policy import Policy, PolicyError, check_litellm, read_policy
from .state import why


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    """Tell LiteLLM whose request it is; the checks found that out."""
    name = request.scope.get(CONSUMER)
    if name is None:
        raise HTTPException(401, "the gateway's checks did not see this request")
    return UserAPIKeyAuth(
        api_key=name, key_alias=name, user_id=name, models=list(_policy.consumers[name].models)
    )


def _path(variable: str) -> Path:
    if variable not in os.environ:
        raise PolicyError(f"{variable} is not set; expected a path. Set it where LiteLLM starts")
    return Path(os.environ[variable])


class _OnlyAdmitted(CustomLogger):  # type: ignore[misc]  # LiteLLM is not installed here.
    """Lets LiteLLM use no deployment but that of the pool which admitted the request."""

    async def async_filter_deployments(
        self, model: str, healthy_deployments: list[Any], *_: Any, **__: Any
    ) -> list[Any]:
        """Return the deployments that the present request may use."""
        return admitted(healthy_deployments)


def _admit(policy: Policy, key: str) -> Admit:
    metrics = Metrics(has_pools=len(policy.pools) > 1)
    admissions = {
        name: Admission(
            pool=pool,
            front_end=FrontEnd(endpoint=pool.endpoint, cards=pool.card.count, get=asking(key)),
            # The exporter must not get the endpoint's key.
            why=partial(why, pool, asking("")),
            counts=metrics.of(name),
        )
        for name, pool in policy.pools.items()
    }

    async def admit(consumer: str, model: str, forward: Forward, send: Send) -> None:
        homes = [admissions[name] for name in policy.models[model].homes]
        await answer(homes, consumer, model, forward, send)

    return admit


def _install(policy: Policy) -> None:
    key = os.environ.get(ENDPOINT_KEY_VARIABLE, "")
    keys = Keys(_path(KEYS_VARIABLE), policy.consumers)
    watch_keys(keys, policy.consumers)
    app = proxy_server.app
    if app.middleware_stack is None:
        raise PolicyError(
            "LiteLLM reads its configuration before its app is built; expected after"
        )
    checks = Checks(
        app.middleware_stack,
        policy=policy,
        keys=keys,
        natives={name: Native(pool.endpoint, key) for name, pool in policy.pools.items()},
        fetch=Fetcher(policy.pictures).fetch,
        admit=_admit(policy, key),
        control_fields={*all_litellm_params, *CONTROL_FIELDS},
    )
    app.middleware_stack = CORSMiddleware(
        checks,
        allow_origins=policy.allowed_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        expose_headers=("retry-after",),
    )
    if len(policy.pools) > 1:
        litellm.logging_callback_manager.add_litellm_callback(_OnlyAdmitted())
    if proxy_server.master_key is None:
        # LiteLLM does not start without one, and nobody may use it: the checks refuse its paths.
        proxy_server.master_key = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"


logging.getLogger(__package__).addHandler(logging.StreamHandler(sys.stderr))
try:
    _policy = read_policy(_path(POLICY_VARIABLE))
    check_litellm(_policy, version("litellm"))
    _install(_policy)
except PolicyError as error:
    # LiteLLM would wrap an exception into pages of traceback.
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    os._exit(1)
