"""A server with weights of its own in a process of its own: the routes of vLLM that rollouts need, over a tiny model.

Run as a program with the directory of a model it prints its port and serves until its standard input ends. Further words: "deaf" keeps its
weights; "as:NAME" is the name that the model has, "policy" by default. As with vLLM, adapters have a name once they are loaded, and
whoever asks for another one is answered 404.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from unseen.planning.models.local import LocalModel


class State:
    """The model, where it came from, and what was asked."""

    lock = threading.Lock()
    model: LocalModel
    folder: str
    seen: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012  one server per process
    names: set[str] = {"policy"}  # noqa: RUF012
    deaf = False  # whether new weights are confirmed and not loaded


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply([[path, {k: v for k, v in body.items() if k != "prompt"}] for path, body in State.seen])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with State.lock:
            State.seen.append((self.path, body))
            route = {"/v1/completions": write, "/tokenize": tokenize, "/v1/load_lora_adapter": adapt, "/collective_rpc": reload}
            asked = body.get("model")
            if asked is not None and asked not in State.names:
                self.reply({"error": {"message": f"The model `{asked}` does not exist.", "code": 404}}, 404)
            else:
                self.reply(route[self.path](body))

    def reply(self, answer: Any, status: int = 200) -> None:
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


def write(body: dict[str, Any]) -> dict[str, Any]:
    """Sample token by token, by a full pass over everything before."""
    draws, ids, tokens, told = np.random.default_rng(body["seed"]), list(body["prompt"]), [], []
    bias = {int(token): value for token, value in body.get("logit_bias", {}).items()}
    reason = "length"
    for _ in range(body["max_tokens"]):
        with torch.no_grad():
            logits = State.model.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        plain = torch.log_softmax(logits, -1)  # the model's own, as vLLM tells them
        for token, value in bias.items():
            logits[token] += value
        p = torch.softmax(logits / body["temperature"], -1).numpy()
        token = int(draws.choice(len(p), p=p / p.sum()))
        ids.append(token)
        tokens.append(token)
        told.append(float(plain[token]))
        if token in body["stop_token_ids"]:
            reason = "stop"
            break
    choice = {"token_ids": tokens, "logprobs": {"token_logprobs": told}, "finish_reason": reason, "text": ""}
    return {"choices": [choice]}


def tokenize(body: dict[str, Any]) -> dict[str, Any]:
    return {"tokens": State.model.tokens(body["prompt"])}


def adapt(body: dict[str, Any]) -> str:
    State.names.add(body["lora_name"])
    if not State.deaf:
        assert body["load_inplace"]
        State.model = LocalModel.load(body["lora_path"])
    return f"Success: LoRA adapter '{body['lora_name']}' added successfully."


def reload(body: dict[str, Any]) -> dict[str, Any]:
    assert body["method"] == "reload_weights"
    if not State.deaf:
        State.model = LocalModel.load(State.folder)
    return {"results": [None]}


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[str]:
    """Start the server; its URL."""
    with subprocess.Popen(
        [sys.executable, __file__, str(folder), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(20)


def seen(url: str) -> list[tuple[str, dict[str, Any]]]:
    return [(path, body) for path, body in httpx.get(url + "/seen", trust_env=False).json()]


class Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    torch.set_num_threads(1)
    State.folder, State.deaf = sys.argv[1], "deaf" in sys.argv
    State.names = {word.removeprefix("as:") for word in sys.argv if word.startswith("as:")} or {"policy"}
    State.model = LocalModel.load(State.folder)
    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
