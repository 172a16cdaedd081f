"""The leaderboard: boards made of records, drawn and served; needs neither torch nor transformers."""
