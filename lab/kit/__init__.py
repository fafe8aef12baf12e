"""What the lab, the proofs and the tests share: virtual time, a network and documents in memory, a credential."""
