"""Boards made of a table of records: pooled, ordered, searched, compared; without anything of a page."""
