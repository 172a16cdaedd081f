"""From raw terms to an order: scores of a pool, how sure it is, and how well it agrees with measured accuracies."""
