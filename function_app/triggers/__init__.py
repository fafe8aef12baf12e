"""What wakes Hopkeeper: each function a few lines. A trigger is a hint; whatever it says, a pass looks for itself."""
