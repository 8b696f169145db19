"""Text beyond ASCII comes back as it is: a grammar lets the model say nothing else."""

from __future__ import annotations

import openai

from tests.real.gateway.clients.conftest import ALIAS, Ground

TEXT = "Größe 猫 🐈‍⬛ é"
GRAMMAR = f'root ::= "{TEXT}"'


def test_an_answer_comes_back_whole_and_in_pieces(ground: Ground) -> None:
    with openai.OpenAI(
        base_url=f"{ground.gateway.url}/v1", api_key=ground.key(), max_retries=0
    ) as client:

        def ask(stream: bool) -> str:
            answer = client.chat.completions.create(
                model=ALIAS,
                messages=[{"role": "user", "content": TEXT}],
                max_tokens=80,
                extra_body={"grammar": GRAMMAR},
                stream=stream,
            )
            if not isinstance(answer, openai.Stream):
                return answer.choices[0].message.content or ""
            return "".join(
                chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices
            )

        assert ask(stream=False) == ask(stream=True) == TEXT


def test_llama_cpps_own_completion_does_too(ground: Ground) -> None:
    body = {"model": ALIAS, "prompt": TEXT, "n_predict": 80, "grammar": GRAMMAR}
    with ground.gateway.client("photo-poster") as asking:
        assert asking.post("/completion", json=body).json()["content"] == TEXT
