"""Which checkpoint should I fine-tune? Transferability metrics from one forward pass, FaCe and NCTI first."""

import lazy_loader

from hf_transfer_score.version import VERSION

__version__ = VERSION

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = [name for name in __all__ if name != "CollapseCallback"]  # which needs torch and transformers
