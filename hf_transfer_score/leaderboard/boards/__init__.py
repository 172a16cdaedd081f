"""Boards made from a table of records: pooled, ordered and forecast, without anything of a page."""
