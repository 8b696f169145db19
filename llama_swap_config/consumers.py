"""The consumers: who may ask which model. Operators edit this file.

`python -m ops gateway keys` makes their keys; docs/gateway.md explains each field.
"""

from llama_swap_config.gateway.consumer import Consumer

CONSUMERS: tuple[Consumer, ...] = (
    Consumer(
        name="photo-poster",
        namespace="photo-poster",
        models=("qwen3vl-8b", "minicpm-v-4-5"),
    ),
    Consumer(
        name="home-assistant",
        namespace="home-assistant",
        models=("qwen3vl-4b",),
        parallel_requests=2,
    ),
    Consumer(
        name="n8n",
        namespace="n8n",
        models=("qwen3vl-8b", "qwen3vl-4b"),
        protected_s=0,
    ),
)
