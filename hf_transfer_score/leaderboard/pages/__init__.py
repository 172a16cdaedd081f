"""The web page: its tabs and the words on them."""
