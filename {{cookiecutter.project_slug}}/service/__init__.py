"""The service. `engine/` is the template's; everything else here is yours."""
