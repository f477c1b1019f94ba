"""The smallest thing that cannot be saved: a save is really tried, and what fails is shrunk by trying again."""
