"""From many candidates to one fine-tuned checkpoint within a budget: each round spends where it matters."""
