"""The processes that share one extraction: one alone, or several that a launcher started."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hf_transfer_score.errors import CheckpointError, NoSpaceError, TransferScoreError
from hf_transfer_score.home import fullness, no_space

if TYPE_CHECKING:
    import torch

Value = TypeVar("Value")

ACCELERATORS = ("cuda", "xpu", "mps")


def launched() -> bool:
    """Whether a launcher (accelerate, torchrun) started several processes."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work.

    Attributes:
        index: its number, 0 for the one that writes and speaks.
        count: how many there are.
        local_index: its number on its machine.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0

    @classmethod
    def current(cls) -> Processes:
        """Return what the launcher says; joins the group where there is one."""
        if not launched():
            return cls()
        from accelerate import PartialState

        with_accelerator = any(_has(name) for name in ACCELERATORS)
        state = PartialState() if with_accelerator else PartialState(cpu=True)  # accelerate does not fall back itself
        return cls(state.process_index, state.num_processes, state.local_process_index)

    @property
    def is_main(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.index == 0

    def leave(self) -> None:
        """Leave the group when all have come so far; processes that just end can abort each other."""
        if self.count > 1:
            from accelerate import PartialState

            state = PartialState()
            state.wait_for_everyone()
            state.destroy_process_group()

    def gather(self, value: Value) -> list[Value]:
        """Return every process's value, in the order of their numbers, in every process."""
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        gathered: list[Value] = gather_object([value])
        return gathered

    def from_main(self, value: Value) -> Value:
        """Return the main process's value in every process."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        holder: list[Any] = [value]
        broadcast_object_list(holder, from_process=0)
        received: Value = holder[0]
        return received

    def together(self, action: Callable[[], Value]) -> Value:
        """Run something in every process; where it fails in one, all raise that failure and none waits for ever."""
        value, failure = attempt(action)
        self.agree(failure)
        return value  # type: ignore[return-value]  # without a failure there is a value

    def first_main(self, action: Callable[[], Value]) -> Value:
        """Run something in the first process of each machine, then in its others, which find the work done."""
        value, failure = attempt(action) if self.local_index == 0 else (None, None)
        self.agree(failure)
        if self.local_index != 0:
            value, failure = attempt(action)
        self.agree(failure)
        return value  # type: ignore[return-value]

    def agree(self, failure: Exception | None) -> None:
        """Raise the first failure that any process has, in all of them."""
        for found in self.gather(failure):
            if found is not None:
                raise found


def attempt(action: Callable[[], Value]) -> tuple[Value | None, Exception | None]:
    """Return what an action gives, or the failure that stands for its exception."""
    try:
        return action(), None
    except TransferScoreError as error:
        return None, error
    except Exception as error:  # noqa: BLE001  # whatever a library raises is a failure of this checkpoint
        if fullness(error) is not None:
            return None, no_space(error, "what a library writes", Path(tempfile.gettempdir()))
        return None, as_checkpoint_error(error)


def as_checkpoint_error(error: Exception) -> CheckpointError:
    """Return the failure that an exception of a library stands for."""
    if isinstance(error, NoSpaceError):
        return CheckpointError("no_space", str(error))
    if is_out_of_memory(error):
        return CheckpointError("out_of_memory", f"does not fit into memory: {first_line(error)}")
    return CheckpointError("error", f"{type(error).__name__}: {first_line(error)}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the accelerator or not."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    words = ("out of memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "cuDNN error: CUDNN_STATUS_NOT_SUPP")
    return isinstance(error, RuntimeError) and any(word in text for word in words)


def first_line(error: BaseException) -> str:
    """Return the first line of a message that has something in it."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)


def choose_device(wanted: str | None, processes: Processes) -> torch.device:
    """Return the device this process computes on: the one asked for, else an accelerator, else the CPU."""
    import torch
    from accelerate import PartialState

    if wanted is not None:
        return torch.device(wanted)
    if processes.count > 1:
        device: torch.device = PartialState().device
        return device
    return torch.device(next((name for name in ACCELERATORS if _has(name)), "cpu"))


def _has(name: str) -> bool:
    """Whether there is an accelerator of that name."""
    import torch

    module: Any = getattr(torch, name, None)
    return module is not None and hasattr(module, "is_available") and bool(module.is_available())
