"""Everything that is said to the Hub: within one deadline, tried again in one way, its failures told in one place."""
