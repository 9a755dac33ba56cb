"""What RDS's certificates are held against: infra/rds-ca.pem, which the image holds."""

import ssl

from infra.deploy.environment import INFRA, DeploymentError

_FILE = "infra/rds-ca.pem"
_NEWEST = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"


def check(region: str) -> None:
    """Look before an image is made that could not connect.

    Raises:
        DeploymentError: There is no root for this region.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(INFRA.parent / _FILE)
    if f"Amazon RDS {region} Root CA" not in str(context.get_ca_certs()):
        raise DeploymentError(f"{_FILE} has no root for {region}: curl -o {_FILE} {_NEWEST}, and commit it")
