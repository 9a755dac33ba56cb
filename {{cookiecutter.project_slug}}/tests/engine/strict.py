"""The settings of a service that allows little."""

from typing import Any

from tests.engine.kit.commands import SECRET_KEY

OLD_KEY, NEW_KEY = SECRET_KEY, "the key that is to replace the other one and as long as any algorithm asks for"
BURST = 5
SETTINGS: dict[str, Any] = {
    "DEMO_ENDPOINTS": "",
    "SECRET_KEY": f"{NEW_KEY},{OLD_KEY}",
    "ALLOWED_ORIGINS": "https://app.example.org,https://*.example.com,http://localhost:3000",
    "MAX_CONNECTIONS": "8",
    "MAX_CONNECTIONS_PER_USER": "2",
    "MAX_MESSAGE_BYTES": "1000",
    "MAX_ENTRY_LENGTH": "10",
    "HEARTBEAT_INTERVAL": "0",
    "RATE_LIMIT": "1",
    "RATE_LIMIT_BURST": str(BURST),
    "DATABASE_POOL_SIZE": "1",
    "DATABASE_POOL_TIMEOUT": "1",
}
