"""The documents, the pages and the JavaScript client."""
