"""Small calculations, by themselves."""
