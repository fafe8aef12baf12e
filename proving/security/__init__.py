"""Every case of an attack that is known, with the tests that prove it held off."""
