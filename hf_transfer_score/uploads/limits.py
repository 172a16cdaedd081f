"""Limits on what visitors of a Space may upload, store and compute, with reasons."""

MEGABYTE = 1024**2

# uploads; an address may be a classroom
FILE_BYTES = 200 * MEGABYTE  # of one uploaded file: 100,000 rows of 500 numbers in single precision
UNPACKED_BYTES = 400 * MEGABYTE  # of one file in memory: the metrics take up to twice as much on top
VISITOR_FILES = 64  # files of one address that wait to be scored
VISITOR_BYTES = 800 * MEGABYTE  # of those files together
ALL_FILES = 1000  # files of all visitors that wait to be scored
ALL_BYTES = 4096 * MEGABYTE  # of those files together: a fraction of the disk of the smallest Space
UPLOAD_SECONDS = 300  # how long an upload may take to arrive: 800 MB at 3 MB/s
KEPT_SECONDS = 900  # how long an upload is kept before it is scored

# the process that reads and scores
MEMORY_BYTES = 1400 * MEGABYTE  # together with the app it stays below two gigabytes
SECONDS = 55  # for all files of one click, so that the next visitor in the queue gets a turn
MOST_FILES = 8  # models that one click ranks

# other requests, and the queue; an unanswered event is queued, or its answer was not fetched
REQUEST_BYTES = MEGABYTE // 4  # of a request without an upload: the longest honest one has a few kilobytes
REQUEST_SECONDS = 20  # how long such a request may take to arrive
SESSIONS = 2000  # pages whose state is kept; the least recently used one is dropped first, and its page starts anew
VISITOR_PAGES = 500  # pages of one address within KEPT_SECONDS
CALL_SECONDS = 60  # how long the visitor of an answered call is remembered
QUEUE = 1000  # queued events of all visitors
SESSION_EVENTS = 60  # unanswered events of one page: each control only sends its last value
VISITOR_EVENTS = 400  # unanswered events of one address: less than half of the queue
SESSION_SCORINGS = 2  # queued scorings of one page
VISITOR_SCORINGS = 8  # queued scorings of one address
ALL_SCORINGS = 40  # queued scorings of all visitors: at a few seconds each, the last one waits some minutes
