"""What strangers may send, and what breaks under a run: each case with a limit of time and memory."""
