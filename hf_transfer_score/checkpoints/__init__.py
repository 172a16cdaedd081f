"""Candidates: found by id, folder or search, described before any large download, and then downloaded."""
