"""HTTP as proxies, monitors, browsers and other people's libraries speak it."""
