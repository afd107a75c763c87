"""`python -m tests.vllm_base FOLDER`: a base that a real vLLM server can serve, and the command line of that server."""

import shlex
import sys
from pathlib import Path

from tests.fake_vllm import BASE_NAME, KEY

PLACES = 3
ENVIRONMENT = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_SERVER_DEV_MODE=1"


def command(folder: Path) -> str:
    """What to run where vLLM is installed. The mode for developers lets a test see what is in its memory."""
    options = (
        f"--served-model-name {BASE_NAME} --host 127.0.0.1 --port 8765 --dtype float32 --enforce-eager "
        f"--skip-tokenizer-init --enable-lora --max-loras 2 --max-cpu-loras {PLACES} --max-lora-rank 8 "
        f"--max-model-len 16 --max-num-seqs 32 --api-key {shlex.quote(KEY)}"
    )
    return f"{ENVIRONMENT} vllm serve {shlex.quote(str(folder / 'base'))} {options}"


def main(folder: Path) -> None:
    from tests.unit.app.serving.marker_world import SHAPE_FOR_VLLM, make_base

    make_base(folder / "base", shape=SHAPE_FOR_VLLM)
    (folder / "adapters").mkdir(exist_ok=True)
    print(command(folder.absolute()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
