"""How long members wait before fleets of different size, in a simulation of the real queue."""
