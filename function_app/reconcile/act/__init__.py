"""What a pass does to the world, and what every effect owes when it is performed."""
