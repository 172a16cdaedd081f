"""Code that the clients of several tests start with."""

ERRORS = """
import json, sys
from huggingface_hub import HfApi, errors, hf_hub_download, snapshot_download
api = HfApi()
def error(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except Exception as problem:
        return [type(problem).__name__, getattr(getattr(problem, "response", None), "status_code", None), str(problem)]
"""
"""The API object, and `error(call, ...)`: name, status and text of what a call raises, None where it raises nothing."""
