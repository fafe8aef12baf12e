"""Azure Resource Manager, one resource a module."""
