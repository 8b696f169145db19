"""The class of a failed load, by lines that real programs wrote."""

from __future__ import annotations

import pytest

from in_pod.exporter.contract import ABORTED
from in_pod.exporter.failure import failure_class

EXITED = "upstream command exited prematurely"
# llama-server b11434 on a CPU, through llama-swap v250.
NO_FILE = """\
0.00.030.632 E gguf_init_from_file: failed to open GGUF file 'model.gguf' (No such file or directory)
0.00.030.789 E llama_model_load: error loading model: llama_model_loader: failed to load model from model.gguf
0.00.034.070 E srv  llama_server: exiting due to model loading error
"""  # noqa: E501
NONSENSE = """\
gguf_init_from_reader: failed to read header
llama_model_load: error loading model: llama_model_loader: failed to load model from model.gguf
0.00.033.766 E srv    load_model: failed to load model, 'model.gguf'
"""
NO_HOST_MEMORY = """\
0.42.537.023 E ggml_aligned_malloc: insufficient memory (attempted to allocate 58594.90 MB)
0.42.537.024 E ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 61441204256
0.45.048.920 E srv    load_model: failed to create_context with model 'model.gguf'
0.45.052.699 E srv  llama_server: exiting due to model loading error
"""  # noqa: E501
# llama.cpp's CUDA back end: ggml-cuda.cu and llama-model.cpp.
NO_CARD_MEMORY = """\
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 4455.34 MiB on device 0: cudaMalloc failed: out of memory
alloc_tensor_range: failed to allocate CUDA0 buffer of size 4671757312
llama_model_load: error loading model: unable to allocate CUDA0 buffer
"""  # noqa: E501
OTHER_ARCHITECTURE = (
    "llama_model_load: error loading model: error loading model architecture: unknown model "
    "architecture: 'qwen9'\n"
)
BAD_FLAG = "error: invalid argument: --no-such-flag\n"
NO_PROGRAM = (
    "failed to start command '/app/llama-server -m x': fork/exec /app/llama-server: no such file "
    "or directory"
)


@pytest.mark.parametrize(
    ("reason", "log", "expected"),
    [
        pytest.param(EXITED, NO_FILE, "file", id="no file"),
        pytest.param(EXITED, NONSENSE, "file", id="a damaged file"),
        pytest.param(EXITED, OTHER_ARCHITECTURE, "file", id="a file of a newer engine"),
        pytest.param(EXITED, NO_HOST_MEMORY, "memory", id="host memory"),
        pytest.param(EXITED, NO_CARD_MEMORY, "memory", id="card memory"),
        pytest.param(EXITED, BAD_FLAG, "crash", id="a wrong flag"),
        pytest.param(EXITED, "", "crash", id="no log"),
        pytest.param("health check timed out after 15s", NO_CARD_MEMORY, "timeout", id="timeout"),
        pytest.param(NO_PROGRAM, "", "file", id="no program"),
        pytest.param(
            "failed to start command 'x': fork/exec x: out of PIDs", "", "crash", id="fork"
        ),
        pytest.param("aborted", NO_FILE, ABORTED, id="unloaded meanwhile"),
        pytest.param("group: model unloaded", "", ABORTED, id="unloaded"),
        pytest.param("[eyes] shutdown", "", ABORTED, id="shutdown"),
        pytest.param("", "", "unknown", id="nothing is told"),
        pytest.param("", NO_FILE, "file", id="only the log"),
    ],
)
def test_the_class_of_a_failed_load(reason: str, log: str, expected: str) -> None:
    assert failure_class(reason, log) == expected
