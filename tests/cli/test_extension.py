"""The Hub's own command runs this one as `hf transfer-score`, as it would after `hf extensions install`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("hf-transfer-score")


def test_hf_runs_it(tmp_path):
    pytest.importorskip("huggingface_hub.cli.extensions", reason="extensions came with a later huggingface_hub")
    place = tmp_path / ".local" / "share" / "hf" / "extensions" / "hf-transfer-score"
    place.mkdir(parents=True)
    about = {"owner": "owner", "repo": "hf-transfer-score", "repo_id": "owner/hf-transfer-score", "type": "python"}
    about |= {"short_name": "transfer-score", "installed_at": "2026-01-01T00:00:00+00:00"}
    (place / "manifest.json").write_text(json.dumps({**about, "executable_path": str(SCRIPT)}))
    command = [sys.executable, "-m", "huggingface_hub.cli.hf", "transfer-score", "metrics", "face", "--json"]
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["name"] == "face", done.stderr
