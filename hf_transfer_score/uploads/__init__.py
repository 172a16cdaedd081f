"""What visitors of a Space upload: taken within limits, read and scored in a process of its own, removed after use."""
