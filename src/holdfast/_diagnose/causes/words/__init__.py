"""What people tell in words of their own."""
