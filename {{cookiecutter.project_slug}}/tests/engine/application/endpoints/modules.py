"""What the process that answers has imported."""

import sys

from service.engine.endpoints.router import Endpoints

router = Endpoints()


@router.get("/api/modules", include_in_schema=False)
async def modules() -> list[str]:
    """The names of all modules."""
    return sorted(sys.modules)
