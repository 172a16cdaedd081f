"""The worker: takes requests one by one, scores what they ask for, and publishes the records."""
