"""A local Hub over HTTP, for the real clients."""
