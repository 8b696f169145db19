"""Why a load failed, by llama-swap's log; the log of a real failure is in tests/real/gateway."""

from __future__ import annotations

import pytest

from in_pod.gateway.failed_load import FailedLoad, logged_failure

EXITED = "upstream command exited prematurely"


def log(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def test_the_last_load_of_this_model_counts() -> None:
    text = log(
        "[WARN] group: starting small failed: health check timed out after 15s",
        f"[WARN] group: starting small failed: {EXITED}",
        "[WARN] group: starting other failed: health check timed out after 15s",
    )
    assert logged_failure("small", text) == FailedLoad(failure="exit", reason=EXITED)
    assert logged_failure("other", text) == FailedLoad(
        failure="timeout", reason="health check timed out after 15s"
    )
    assert logged_failure("sma", text) is None


@pytest.mark.parametrize(
    "said",
    [
        "ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory",
        "alloc_tensor_range: failed to allocate CUDA0 buffer of size 4096",
    ],
)
def test_memory_that_llama_server_did_not_get_is_found_in_its_last_words(said: str) -> None:
    failed = logged_failure("small", log(said, f"group: starting small failed: {EXITED}"))
    assert failed is not None
    assert failed.failure == "memory"


def test_memory_that_was_missing_long_ago_is_not_this_load_s() -> None:
    ago = log("out of memory", "x" * 9_000, f"group: starting small failed: {EXITED}")
    assert logged_failure("small", ago) == FailedLoad(failure="exit", reason=EXITED)


def test_words_that_may_name_arguments_are_not_repeated() -> None:
    for said in (
        "failed to start command 'env API_KEY=secret x'",
        "exit code 1: --api-key secret",
    ):
        failed = logged_failure("small", log(f"group: starting small failed: {said}"))
        assert failed is not None
        assert failed.failure == "exit"
        assert "secret" not in failed.reason
