"""How much visitors of a Space may send, keep and compute, each with its reason."""

from __future__ import annotations

MEGABYTE = 1024**2

FILE_BYTES = 200 * MEGABYTE
"""Of one uploaded file: 100,000 rows of 500 numbers in single precision."""

UNPACKED_BYTES = 400 * MEGABYTE
"""Of one file in memory: the metrics take up to twice that beside it, and a Space has a few gigabytes."""

MEMORY_BYTES = 1400 * MEGABYTE
"""Of the process that reads and scores: with the app's own memory it stays below two gigabytes."""

SECONDS = 55
"""For all files of one click; a visitor waits no longer, and the next one in the queue has a turn."""

MOST_FILES = 8
"""Models that one click ranks."""

VISITOR_FILES = 64
"""Files of one address that wait for being scored; an address can be a class room."""

VISITOR_BYTES = 800 * MEGABYTE
"""Of those files together."""

ALL_FILES = 1000
"""Files of everybody that wait for being scored."""

ALL_BYTES = 4096 * MEGABYTE
"""Of those files together: a fraction of the disk of the smallest Space."""

UPLOAD_SECONDS = 300
"""How long an upload may take to arrive: 800 MB at 3 MB/s."""

KEPT_SECONDS = 900
"""How long an upload may wait for being scored; afterwards it is removed."""

REQUEST_BYTES = MEGABYTE // 4
"""Of a request that uploads nothing: the longest honest one is a few kilobytes."""

REQUEST_SECONDS = 20
"""How long such a request may take to arrive."""

SESSIONS = 2000
"""Pages whose state is kept; the one that was used longest ago goes first, and its page starts anew."""

VISITOR_PAGES = 500
"""Pages of one address within KEPT_SECONDS."""

CALL_SECONDS = 60
"""How long it is remembered who made a call that was answered."""

QUEUE = 1000
"""Events of everybody that wait for their turn."""

SESSION_EVENTS = 60
"""Events of one page that wait, or whose answer was not fetched: each control sends its last value only."""

VISITOR_EVENTS = 400
"""Events of one address that wait, or whose answer was not fetched: less than half of the queue."""

SESSION_SCORINGS = 2
"""Scorings of one page that wait."""

VISITOR_SCORINGS = 8
"""Scorings of one address that wait."""

ALL_SCORINGS = 40
"""Scorings of everybody that wait: at the usual few seconds each, the last one waits some minutes."""
