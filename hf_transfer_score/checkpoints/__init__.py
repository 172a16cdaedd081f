"""Candidates: found by id, folder or search, described before anything large is downloaded, then downloaded."""
