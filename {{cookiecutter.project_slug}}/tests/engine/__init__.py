"""The engine's tests, on an application of their own, and the kit that yours are written with. Ours: do not edit."""
