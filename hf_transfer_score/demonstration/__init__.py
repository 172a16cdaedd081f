"""A pool of micro networks made on the spot, ranked, fine-tuned, and the two compared."""
