"""Limits on what visitors of a Space may upload, store and compute, with reasons."""

from __future__ import annotations

MEGABYTE = 1024**2

FILE_BYTES = 200 * MEGABYTE
"""Of one uploaded file: 100,000 rows of 500 numbers in single precision."""

UNPACKED_BYTES = 400 * MEGABYTE
"""Of one file in memory: the metrics take up to twice as much on top, and a Space has a few gigabytes."""

MEMORY_BYTES = 1400 * MEGABYTE
"""Of the process that reads and scores: together with the app it stays below two gigabytes."""

SECONDS = 55
"""For all files of one click, so that the next visitor in the queue gets a turn."""

MOST_FILES = 8
"""Models that one click ranks."""

VISITOR_FILES = 64
"""Files of one address that wait to be scored; an address may be a classroom."""

VISITOR_BYTES = 800 * MEGABYTE
"""Of those files together."""

ALL_FILES = 1000
"""Files of all visitors that wait to be scored."""

ALL_BYTES = 4096 * MEGABYTE
"""Of those files together: a fraction of the disk of the smallest Space."""

UPLOAD_SECONDS = 300
"""How long an upload may take to arrive: 800 MB at 3 MB/s."""

KEPT_SECONDS = 900
"""How long an upload is kept before it is scored."""

REQUEST_BYTES = MEGABYTE // 4
"""Of a request without an upload: the longest honest one has a few kilobytes."""

REQUEST_SECONDS = 20
"""How long such a request may take to arrive."""

SESSIONS = 2000
"""Pages whose state is kept; the least recently used one is dropped first, and its page starts anew."""

VISITOR_PAGES = 500
"""Pages of one address within KEPT_SECONDS."""

CALL_SECONDS = 60
"""How long the visitor of an answered call is remembered."""

QUEUE = 1000
"""Queued events of all visitors."""

SESSION_EVENTS = 60
"""Events of one page that are queued, or whose answer was not fetched: each control only sends its last value."""

VISITOR_EVENTS = 400
"""Events of one address that are queued, or whose answer was not fetched: less than half of the queue."""

SESSION_SCORINGS = 2
"""Queued scorings of one page."""

VISITOR_SCORINGS = 8
"""Queued scorings of one address."""

ALL_SCORINGS = 40
"""Queued scorings of all visitors: at a few seconds each, the last one waits some minutes."""
