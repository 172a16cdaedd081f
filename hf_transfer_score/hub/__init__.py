"""Everything that is said to the Hub: within one deadline, repeated in one way, its failures explained in one place."""
