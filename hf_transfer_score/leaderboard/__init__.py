"""The leaderboard: boards made from records, drawn and served without torch or transformers."""
