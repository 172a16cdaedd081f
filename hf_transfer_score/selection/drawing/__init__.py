"""Pictures of a ranking: what is shown, where its labels go, as an image, and as a page."""
