"""The settings refuse bad values, and production has the expected defaults."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest

from llama_swap_config.cluster.pod_resources import PodResources
from llama_swap_config.cluster.storage import (
    LocalSsdStorage,
    NfsStorage,
    ProvisionedStorage,
)
from llama_swap_config.cluster.upkeep import Upkeep
from llama_swap_config.errors import ConfigError
from llama_swap_config.front_ends.llama_swap import LlamaSwapSettings
from llama_swap_config.front_ends.server_command import ServerSettings
from stacks import settings
from stacks.settings import Settings
from tests.declaration.registry import REGISTRY
from tests.declaration.settings import EXISTING_GATEWAY, GATEWAY, SETTINGS, WITH_KEY

Json = dict[str, Any]


def test_an_old_import_of_production_names_the_new_place() -> None:
    with pytest.raises(ConfigError) as caught:
        exec("from stacks.settings import PRODUCTION", {})
    assert str(caught.value) == (
        "PRODUCTION has moved from stacks.settings. Use "
        "`from stacks.production import PRODUCTION`."
    )
    assert importlib.import_module("stacks.production").PRODUCTION


def test_client_namespaces_names_what_to_write_now() -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, client_namespaces=("litellm", "monitoring"))  # type: ignore[call-arg]
    assert str(caught.value) == (
        "settings: client_namespaces is ('litellm', 'monitoring'); expected its new name. Write "
        'the consumers in llama_swap_config/consumers.py, monitoring_namespaces=("monitoring",) '
        'and, for a LiteLLM that runs already, gateway=ExistingGateway(namespace="litellm", ...) '
        "in stacks/production.py."
    )


def test_settings_has_no_other_dynamic_names() -> None:
    assert not hasattr(settings, "STAGING")


def test_every_default_of_production() -> None:
    assert SETTINGS.namespace == "llama-cpp"
    assert SETTINGS.service == "llama-swap"
    assert SETTINGS.port == 8080
    assert SETTINGS.storage_size_gib == 30
    assert SETTINGS.prevent_destroy is True
    assert SETTINGS.gpu.usable_mib == 14912
    assert SETTINGS.run_as_user == 10001
    assert SETTINGS.api_key_secret is None
    assert [(model.quantisation, model.context, model.ttl_s) for model in REGISTRY] == [
        ("Q4_K_M", 3072, 600)
    ] * 3


@pytest.mark.parametrize(
    ("setting", "changes"),
    [
        ("hf_endpoint", lambda: {"hf_endpoint": "huggingface.co"}),
        ("https_proxy", lambda: {"https_proxy": "http://user:password@proxy.lan"}),
        ("speaks no TLS to the proxy", lambda: {"https_proxy": "https://proxy.lan:3128"}),
        (
            "hf_endpoint is 'http://hub.lan'; expected https:",
            lambda: {"hf_endpoint": "http://hub.lan", "hf_token_secret": "hugging-face"},
        ),
        ("warm_wait_s", lambda: {"warm_wait_s": -1}),
        ("upkeep.schedule", lambda: {"upkeep": Upkeep(schedule="weekly")}),
        ("upkeep.verify_rate_mb_s", lambda: {"upkeep": Upkeep(verify_rate_mb_s=0)}),
        ("upkeep.prune_grace_h", lambda: {"upkeep": Upkeep(prune_grace_h=-1)}),
    ],
)
def test_a_bad_setting_of_weights_is_refused(setting: str, changes: Callable[[], Json]) -> None:
    with pytest.raises(ConfigError, match=setting):
        replace(SETTINGS, **changes())


def test_keys_are_required_by_default_and_remote_pictures_allowed() -> None:
    required = {
        field.name: getattr(SETTINGS, field.name)
        for field in fields(SETTINGS)
        if field.default is MISSING and field.default_factory is MISSING
    }
    with pytest.raises(ConfigError, match="api_key_secret is None"):
        Settings(**required)
    keyed = Settings(
        **required,
        api_key_secret="llama-swap-keys",
        llama_swap=LlamaSwapSettings(api_key_env=("KEY_GATEWAY",)),
    )
    assert keyed.remote_images
    assert not keyed.allow_no_key


def test_the_default_front_end_is_llama_swap() -> None:
    assert SETTINGS.front_end == "llama-swap"


BAD_SETTINGS: dict[str, tuple[Callable[[], Json], str]] = {
    "an image of another build": (
        lambda: {"llama_swap_image": f"ghcr.io/x/y:v251-cuda-b10525@sha256:{'0' * 64}"},
        "engine_build is 10524; expected 10525, as the tag of llama_swap_image says",
    ),
    "image by tag": (
        lambda: {"llama_swap_image": "ghcr.io/x/y:cuda"},
        "llama_swap_image is 'ghcr.io/x",
    ),
    "port": (lambda: {"port": 0}, "port is 0; expected 1 to 65535"),
    "schema": (lambda: {"state_schema": 'a"b'}, "state_schema is 'a\"b'; expected a name"),
    "size": (lambda: {"storage_size_gib": 0}, "storage_size_gib is 0"),
    "root": (lambda: {"run_as_user": 0}, "run_as_user is 0"),
    "grace": (lambda: {"termination_grace_period_s": 30}, "at least pre_stop_s + 40 = 45"),
    "a pause before it begins": (
        lambda: {"pre_stop_s": -1},
        "pre_stop_s is -1; expected at least",
    ),
    "name of a Secret": (lambda: {"hf_token_secret": "HF Token"}, "hf_token_secret is 'HF Token'"),
    "no CPU": (
        lambda: {"resources": PodResources(cpu_request_millicores=0)},
        "resources.cpu_request_millicores is 0; expected at least 1",
    ),
    "more memory requested than allowed": (
        lambda: {"resources": PodResources(memory_request_gib=16)},
        "resources.memory_request_gib is 16; expected at most memory_limit_gib, which is 12",
    ),
    "a timeout that llama-swap raises": (
        lambda: {"llama_swap": LlamaSwapSettings(health_check_timeout_s=14)},
        "llama_swap.health_check_timeout_s is 14; expected at least 15",
    ),
    "a port of a server": (
        lambda: {"llama_swap": LlamaSwapSettings(start_port=65536)},
        "llama_swap.start_port is 65536; expected 1 to 65535",
    ),
    "no thread": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(threads_http=0))},
        "llama_swap.server.threads_http is 0; expected at least 1",
    ),
    "namespace": (lambda: {"namespace": "Llama"}, "namespace is 'Llama'; expected a DNS label"),
    "own range": (
        lambda: {"internal_ranges": ("203.0.113.7",)},
        "internal_ranges is '203.0.113.7'",
    ),
    "the whole internet": (
        lambda: {"internal_ranges": ("::/0",)},
        "internal_ranges is '::/0'; expected a part of the internet",
    ),
    "API server by name": (
        lambda: {"api_server": ("api.lan:6443",)},
        "api_server is 'api.lan:6443'; expected IP:PORT",
    ),
    "API server without a port": (
        lambda: {"api_server": ("192.168.1.10",)},
        "api_server is '192.168.1.10'; expected IP:PORT",
    ),
    "API server with a wrong port": (
        lambda: {"api_server": ("[fd00::1]:65536",)},
        "api_server is '[fd00::1]:65536'",
    ),
    "remote pictures without a key": (
        lambda: {"remote_images": True},
        "api_key_secret is None; expected the Secret with the API keys",
    ),
    "no key, not declared": (
        lambda: {"allow_no_key": False},
        "or accept that risk with allow_no_key=True and remote_images=False.",
    ),
    "a switch in words": (
        lambda: {"allow_no_key": "no"},
        "allow_no_key is 'no'; expected True or False",
    ),
    "pictures in words": (lambda: {"remote_images": "no"}, "remote_images is 'no'"),
    "protection in words": (lambda: {"prevent_destroy": "no"}, "prevent_destroy is 'no'"),
    "a reserved namespace": (
        lambda: {"namespace": "system-ai"},
        "namespace is 'system-ai'; expected no name that begins with 'system-'",
    ),
    "a port of a mirror": (
        lambda: {"hf_endpoint": "http://hub.lan:99999"},
        "hf_endpoint is 'http://hub.lan:99999'",
    ),
    "a device twice": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device="CUDA0,CUDA0"))},
        "llama_swap.server.device is 'CUDA0,CUDA0'",
    ),
    "a device and none": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device="CUDA0,none"))},
        "llama_swap.server.device is 'CUDA0,none'",
    ),
    "a device in small letters": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device="cuda0"))},
        "llama_swap.server.device is 'cuda0'; expected a device such as 'CUDA0'",
    ),
    "monitoring": (
        lambda: {"monitoring_namespaces": ("a b",)},
        "monitoring_namespaces is 'a b'; expected a DNS label",
    ),
    "a gateway without the endpoint's key": (
        lambda: {"gateway": EXISTING_GATEWAY},
        "api_key_secret is None; expected the Secret with the endpoint's key, which a gateway",
    ),
    "a gateway in the endpoint's namespace": (
        lambda: {"gateway": replace(EXISTING_GATEWAY, namespace="llama-cpp"), **WITH_KEY},
        "gateway.namespace is 'llama-cpp'; expected another namespace than the endpoint's",
    ),
    "a gateway with the endpoint's Service": (
        lambda: {"gateway": replace(GATEWAY, service="llama-swap"), **WITH_KEY},
        "gateway.service is 'llama-swap'; expected another name than the Services of endpoint",
    ),
    "a gateway with the exporter's Service": (
        lambda: {"gateway": replace(GATEWAY, service="exporter"), **WITH_KEY},
        "gateway.service is 'exporter'; expected another name",
    ),
    "consumers' keys beside the endpoint's": (
        lambda: {"gateway": replace(GATEWAY, keys_secret="llama-swap-keys"), **WITH_KEY},
        "gateway.keys_secret is 'llama-swap-keys'; expected a Secret of its own",
    ),
    "a gateway's image of another release": (
        lambda: {"gateway": replace(GATEWAY, litellm_version="1.109.0")},
        "gateway.litellm_version is '1.109.0'; expected '1.108.7', as the tag of gateway.image",
    ),
    "a pattern of origins": (
        lambda: {"gateway": replace(GATEWAY, allowed_origins=("https://*.example.org",))},
        "gateway.allowed_origins is 'https://*.example.org'; expected http(s)://host[:port]",
    ),
    "an origin with a path": (
        lambda: {"gateway": replace(GATEWAY, allowed_origins=("https://example.org/",))},
        "gateway.allowed_origins is 'https://example.org/'",
    ),
    "a gateway's image by tag": (
        lambda: {"gateway": replace(GATEWAY, image="ghcr.io/berriai/litellm:v1.108.7")},
        "gateway.image is 'ghcr.io/berriai/litellm:v1.108.7'; expected an image pinned by its",
    ),
    "a gateway of another major version": (
        lambda: {"gateway": replace(GATEWAY, litellm_version="2.0.0")},
        "gateway.litellm_version is '2.0.0'; expected a release of LiteLLM 1, 1.106.2 or later",
    ),
    "a malicious release": (
        lambda: {"gateway": replace(GATEWAY, litellm_version="1.82.8")},
        "gateway.litellm_version is '1.82.8'; expected a release of LiteLLM 1, 1.106.2 or later",
    ),
    "less memory than LiteLLM takes": (
        lambda: {"gateway": replace(GATEWAY, memory_request_mib=256)},
        "gateway.memory_request_mib is 256; expected at least 520",
    ),
    "a gateway's memory beyond its limit": (
        lambda: {"gateway": replace(GATEWAY, memory_request_mib=4096)},
        "and at most memory_limit_mib, which is 2048",
    ),
    "the existing gateway as a name": (
        lambda: {"gateway": "litellm"},
        "gateway is 'litellm'; expected Gateway(...), ExistingGateway(...) or None",
    ),
    "secret without keys": (lambda: {"api_key_secret": "x"}, "api_key_secret is 'x'"),
    "keys without secret": (
        lambda: {"llama_swap": LlamaSwapSettings(api_key_env=("K",))},
        "api_key_secret is None",
    ),
    "a device that is not a name": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device="CUDA 0"))},
        "llama_swap.server.device is 'CUDA 0'; expected a device such as 'CUDA0'",
    ),
    "no device": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device=""))},
        "llama_swap.server.device is ''",
    ),
    "devices with a space": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(device="CUDA0, CUDA1"))},
        "llama_swap.server.device is 'CUDA0, CUDA1'",
    ),
    "a verbosity beyond debug": (
        lambda: {"llama_swap": LlamaSwapSettings(server=ServerSettings(log_verbosity=6))},
        "llama_swap.server.log_verbosity is 6; expected 0 to 5",
    ),
    "unknown front end": (
        lambda: {"front_end": "vllm"},
        "front_end is 'vllm'; expected one of llama-swap, llama-server",
    ),
    "no name of a variable": (
        lambda: {"api_key_secret": "x", "llama_swap": LlamaSwapSettings(api_key_env=("KEY-A",))},
        "llama_swap.api_key_env is 'KEY-A'; expected the name of an environment variable",
    ),
    "a command": (
        lambda: {
            "front_end": "llama-server",
            "api_key_secret": "x",
            "llama_swap": LlamaSwapSettings(api_key_env=("K$(id)",)),
        },
        "llama_swap.api_key_env is 'K$(id)'",
    ),
    "a key that llama-swap's children inherit": (
        lambda: {
            "api_key_secret": "x",
            "llama_swap": LlamaSwapSettings(api_key_env=("LLAMA_API_KEY",)),
        },
        "llama_swap.api_key_env is 'LLAMA_API_KEY'; expected another name",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_a_bad_setting_is_refused(changes: Callable[[], Json], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(SETTINGS, **changes())
    assert message in str(caught.value)
    assert str(caught.value).startswith("settings: ")
    assert "\n" not in str(caught.value)


def test_bad_storage_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"storage\.server is 'nas'; expected an IP address"):
        NfsStorage(server="nas", path="/srv")
    with pytest.raises(ConfigError, match=r"LocalSsdStorage\.path is 'srv'"):
        LocalSsdStorage(node="k8s-node1", path="srv")
    with pytest.raises(ConfigError, match=r"storage\.claim is 'Models'; expected the name"):
        NfsStorage(server="192.168.1.127", path="/srv", claim="Models")
    with pytest.raises(ConfigError, match=r"storage\.storage_class is ''; expected"):
        ProvisionedStorage(storage_class="")
    with pytest.raises(ConfigError, match=r"storage\.access_mode is 'RWX'; expected"):
        ProvisionedStorage(access_mode="RWX")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"storage is '/srv/models'; expected NfsStorage\("):
        replace(SETTINGS, storage="/srv/models")  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("claim", "models"), ("volume", "llama-cpp-models")])
def test_the_cuda_cache_has_names_of_its_own(name: str, value: str) -> None:
    cache = LocalSsdStorage(node="k8s-node1", path="/var/cache/cuda", **{name: value})
    with pytest.raises(
        ConfigError, match=rf"gpu\.cuda_cache\.{name} is '{value}'; expected another"
    ):
        replace(SETTINGS, gpu=replace(SETTINGS.gpu, cuda_cache=cache))
