"""The endpoints: one file each, only its own business. Yours go here, and into the list in `app.py`."""
