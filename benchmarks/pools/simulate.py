"""Simulate cells with LiteLLM's own Router: a cell a line from stdin, what was seen to stdout.

It runs in LiteLLM's environment, where nothing of the project's is installed. The pools are
simulated, and so is the time; everything between `Router.acompletion` and the HTTP request that
LiteLLM sends is LiteLLM's own. LiteLLM's CustomLLM would not do: it does not call `pre_call`,
where least-busy counts.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import threading

import httpx
import litellm

from benchmarks.pools.cell import Asked, Cell, Seen, read_cell, seen_line
from benchmarks.pools.clock import VirtualLoop
from benchmarks.pools.pool import MODEL_MIB, Pool, TooManyRequestsError
from benchmarks.pools.traffic import Request, model_names, pool_names, traffic

_ANSWER = {
    "id": "simulated",
    "object": "chat.completion",
    "created": 0,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "a cat"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def simulate(cell: Cell) -> Seen:
    """Simulate a cell.

    Raises:
        RuntimeError: when another thread works, for which the clock does not wait.
    """
    random.seed(cell.seed)
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(_simulate(cell))
    finally:
        # The next Router registers its own.
        litellm.logging_callback_manager._reset_all_callbacks()
        litellm.in_memory_llm_clients_cache.flush_cache()


async def _simulate(cell: Cell) -> Seen:
    sizes_mib = {
        model: MODEL_MIB[index % len(MODEL_MIB)]
        for index, model in enumerate(model_names(cell.models))
    }
    pools = {name: Pool(name, sizes_mib) for name in pool_names(cell.pools)}
    requests = traffic(cell)
    litellm.aclient_session = _front_ends(pools, requests)
    router = litellm.Router(**cell.router)
    outage = asyncio.ensure_future(_outage(next(iter(pools.values())), cell))
    asked = await asyncio.gather(
        *(_ask(router, request, index) for index, request in enumerate(requests))
    )
    outage.cancel()
    if threading.active_count() > 1:
        raise RuntimeError(f"threads run beside the clock: {threading.enumerate()}")
    return Seen(
        asked=tuple(asked), loads=tuple(load for pool in pools.values() for load in pool.loads)
    )


def _front_ends(pools: dict[str, Pool], requests: tuple[Request, ...]) -> httpx.AsyncClient:
    """Return the HTTP client that LiteLLM uses, whose hosts are the pools."""

    async def answer(sent: httpx.Request) -> httpx.Response:
        body = json.loads(sent.content)
        request = requests[int(body["messages"][0]["content"])]
        try:
            async with asyncio.timeout(sent.extensions["timeout"]["read"]):
                await pools[sent.url.host].ask(body["model"], request.answer_s)
        except TooManyRequestsError:
            error = {"message": "Too many requests", "type": "rate_limit", "code": 429}
            return httpx.Response(429, headers={"Retry-After": "1"}, json={"error": error})
        except TimeoutError as error:
            raise httpx.ReadTimeout("no answer", request=sent) from error
        except ConnectionError as error:
            raise httpx.ConnectError(type(error).__name__, request=sent) from error
        return httpx.Response(200, json={**_ANSWER, "model": body["model"]})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def _ask(router: litellm.Router, request: Request, index: int) -> Asked:
    await asyncio.sleep(request.at_s)
    # The pool finds the request by its number, which is the prompt.
    prompt = [{"role": "user", "content": str(index)}]
    error = ""
    try:
        await router.acompletion(model=request.model, messages=prompt)
    except Exception as failure:
        error = type(failure).__name__
    wait_s = asyncio.get_running_loop().time() - request.at_s
    return Asked(at_s=request.at_s, model=request.model, wait_s=wait_s, error=error)


async def _outage(pool: Pool, cell: Cell) -> None:
    if cell.outage_s is not None:
        down_s, back_s = cell.outage_s
        await asyncio.sleep(down_s)
        pool.die()
        await asyncio.sleep(back_s - down_s)
        pool.come_back()


def main() -> None:
    """Simulate each cell of stdin."""
    # It explains each error at length.
    litellm.suppress_debug_info = True
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        print(seen_line(simulate(read_cell(line))), flush=True)


if __name__ == "__main__":
    main()
