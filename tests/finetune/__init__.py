"""Tests of the room `truth`."""
