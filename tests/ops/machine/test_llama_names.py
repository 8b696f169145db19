"""The names of architectures and projector types in llama.cpp's sources."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ops.errors import OpsError
from ops.machine.llama_names import Names, names_in, read_names, sha256_of, write_names
from tests.ops.machine.source_package import ARCHITECTURES, PROJECTORS, write_package

ARCHITECTURE_TABLE = """\
// LLM_ARCH_NAMES has the names.
static const std::map<llm_arch, const char *> LLM_ARCH_NAMES = {
    { LLM_ARCH_QWEN3VL,  "qwen3vl"   },
    { LLM_ARCH_CLIP,     "clip"      }, // dummy, only used by llama-quantize
    // { LLM_ARCH_PLANNED, "planned" },
    /* { LLM_ARCH_OLD,   "old"       },
       { LLM_ARCH_OLDER, "older"     }, */
#ifdef LLAMA_EXPERIMENTS
    { LLM_ARCH_TRIED,    "tried"     },
#  if 1
    { LLM_ARCH_NESTED,   "nested"    },
#  endif
#else
    { LLM_ARCH_OTHER,    "other"     },
#endif
    {LLM_ARCH_ERNIE4_5_MOE,"ernie4_5-moe"},
    { LLM_ARCH_UNKNOWN,  "(unknown)" },
};
static const std::map<llm_kv, const char *> LLM_KV_NAMES = {
    { LLM_KV_GENERAL_TYPE, "general.type" },
};
"""
PROJECTOR_TABLE = """\
static std::map<projector_type, std::string> PROJECTOR_TYPE_NAMES = {
    { PROJECTOR_TYPE_QWEN25VL, "qwen2.5vl_merger"},
    { PROJECTOR_TYPE_MINICPMV, "resampler"},
};
"""
SOURCES = {ARCHITECTURES: ARCHITECTURE_TABLE, PROJECTORS: PROJECTOR_TABLE}


def test_names_in_comments_and_under_conditions_are_left_out(tmp_path: Path) -> None:
    package = write_package(tmp_path, 12000, SOURCES)
    assert names_in(package) == Names(
        sha256=sha256_of(package),
        architectures=("clip", "ernie4_5-moe", "qwen3vl"),
        projectors=("qwen2.5vl_merger", "resampler"),
    )


@pytest.mark.parametrize(
    ("sources", "table"),
    [
        ({ARCHITECTURES: ARCHITECTURE_TABLE}, "tools/mtmd/clip-impl.h"),
        (SOURCES | {ARCHITECTURES: "int main;"}, "src/llama-arch.cpp"),
        (SOURCES | {PROJECTORS: PROJECTOR_TABLE.replace("{ PROJ", "{ .x = PROJ")}, "clip-impl.h"),
    ],
)
def test_sources_without_a_table_are_refused(
    tmp_path: Path, sources: dict[str, str], table: str
) -> None:
    package = write_package(tmp_path, 12000, sources)
    with pytest.raises(OpsError, match=rf"{re.escape(table)} of llama\.cpp has no "):
        names_in(package)


@pytest.mark.parametrize("damage", ["", "[]", "<<<<<<< ours", '{"sha256": "1", "projectors": []}'])
def test_a_damaged_list_is_ignored(tmp_path: Path, damage: str) -> None:
    names = Names(sha256="1", architectures=("a", "b"), projectors=("c",))
    write_names(tmp_path, 12000, names)
    (tmp_path / "11000.json").write_text(damage)
    (tmp_path / "models.lock.json").write_text("{}")
    assert read_names(tmp_path) == {12000: names}
