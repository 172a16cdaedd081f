"""What a fixed pool of checkpoints came to once, byte for byte: whoever changes it, changes it on purpose."""
