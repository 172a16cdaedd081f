"""Jobs: commands in processes of their own, with machines, time limits, logs and cancelling as on the Hub."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tests.hub.exchange import Exchange, Refusal, Route

ROOT = Path(__file__).parents[2]

MACHINES = (
    ("cpu-basic", "16 GB", None, 167),
    ("t4-small", "15 GB", "16 GB", 6667),
    ("l4x1", "30 GB", "24 GB", 13333),
    ("l4x4", "186 GB", "96 GB", 63333),
    ("a100-large", "142 GB", "80 GB", 41667),
)
"""Name, memory, memory of the GPU, and millionths of a dollar for a minute."""


@dataclass
class Job:
    """A job with its process."""

    spec: dict[str, Any]  # the request
    owner: str
    number: str  # its id on the Hub
    endpoint: str
    message: str = ""  # the message of the Hub about its end
    _stage: str = ""
    _folder: Any = field(default_factory=tempfile.TemporaryDirectory)

    def __post_init__(self) -> None:
        home = Path(self._folder.name)
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": self.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.spec["command"],
                env=environment | self.spec["environment"] | self.spec.get("secrets", {}),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._timer = threading.Timer(self.spec.get("timeoutSeconds", 1800), self.expire)
        self._timer.start()

    @property
    def log(self) -> Path:
        return Path(self._folder.name) / "log"

    @property
    def stage(self) -> str:
        status = self.process.poll()
        return self._stage or ("RUNNING" if status is None else "ERROR" if status else "COMPLETED")

    def expire(self) -> None:
        self._end("ERROR", "Job timeout")

    def cancel(self) -> None:
        self._end("CANCELED", "")

    def _end(self, stage: str, message: str) -> None:
        if self.stage == "RUNNING":
            self._stage, self.message = stage, message
        self._timer.cancel()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.cancel()
        self._folder.cleanup()

    def about(self) -> dict[str, Any]:
        """Return the Hub's information about it, with only the names of secrets."""
        status = self.process.poll()
        said = self.message or (
            f"Job failed with exit code: {status % 256 if status > 0 else 128 - status}" if status else ""
        )
        return {
            "id": self.number,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "owner": {"id": self.owner, "name": self.owner, "type": "user"},
            "dockerImage": self.spec.get("dockerImage"),
            "command": self.spec["command"],
            "environment": self.spec["environment"],
            "secrets": dict.fromkeys(self.spec.get("secrets", {}), ""),
            "flavor": self.spec["flavor"],
            "labels": self.spec.get("labels", {}),
            "status": {"stage": self.stage, "message": said or None},
        }


def show_machines(exchange: Exchange) -> None:
    answers: list[dict[str, Any]] = []
    for name, memory, gpu, price in MACHINES:
        known = {"type": "gpu", "model": "GPU", "quantity": "4" if name.endswith("x4") else "1", "vram": gpu}
        about = {"name": name, "prettyName": name, "cpu": "2 vCPU", "ram": memory, "ephemeralStorage": "20 GB"}
        about |= {"accelerator": {**known, "manufacturer": "Nvidia"} if gpu else None}
        answers.append(about | {"unitCostMicroUSD": price, "unitCostUSD": price / 10**6, "unitLabel": "minute"})
    exchange.send_data(answers)


def start(exchange: Exchange, owner: str) -> None:
    spec = exchange.form()
    if owner not in exchange.hub.namespaces(exchange.signed_in()):
        raise Refusal(403, None, f"You may not start jobs for {owner}")
    if spec["flavor"] not in [name for name, *_ in MACHINES]:
        raise Refusal(400, None, f"Invalid flavor: {spec['flavor']}")
    job = Job(spec, owner, f"{len(exchange.hub.jobs):024x}", exchange.hub.endpoint)
    exchange.hub.jobs.append(job)
    exchange.send_data(job.about())


def job_of(exchange: Exchange, owner: str, number: str) -> Job:
    """Return a job; the user must be signed in."""
    exchange.signed_in()
    for job in exchange.hub.jobs:
        if (job.owner, job.number) == (owner, number):
            return job
    raise Refusal(404, None, "Job not found")


def listed(exchange: Exchange, owner: str) -> None:
    exchange.signed_in()
    wanted = {tuple(label.split("=", 1)) for label in exchange.options("label")}
    found = [one for one in exchange.hub.jobs if one.owner == owner and wanted <= {*one.spec["labels"].items()}]
    exchange.send_data([one.about() for one in found])


def inspect(exchange: Exchange, owner: str, number: str) -> None:
    exchange.send_data(job_of(exchange, owner, number).about())


def cancel(exchange: Exchange, owner: str, number: str) -> None:
    job = job_of(exchange, owner, number)
    job.cancel()
    exchange.send_data(job.about())


def show_log(exchange: Exchange, owner: str, number: str) -> None:
    """Answer with the log of a job, as a stream of events."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    lines = job_of(exchange, owner, number).log.read_text(errors="replace").splitlines()
    events = [json.dumps({"timestamp": now, "data": line}) for line in ["===== Job started", *lines]]
    exchange.send_text("".join(f"data: {event}\n\n" for event in events), "text/event-stream")


JOB = r"/api/jobs/(?P<owner>[^/]+)/(?P<number>[0-9a-f]{24})"
ROUTES: list[Route] = [
    ("GET", r"/api/jobs/hardware", show_machines),
    ("POST", r"/api/jobs/(?P<owner>[^/]+)", start),
    ("GET", r"/api/jobs/(?P<owner>[^/]+)", listed),
    ("GET", JOB, inspect),
    ("POST", f"{JOB}/cancel", cancel),
    ("GET", f"{JOB}/logs", show_log),
]
