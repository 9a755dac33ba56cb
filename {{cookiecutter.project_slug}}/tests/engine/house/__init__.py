"""The code itself: where what lies, and that what is written about it is so."""
