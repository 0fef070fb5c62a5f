"""Fetches a token with azure-identity for Python and prints it.

Reads one JSON object: authority, tenant, client_id, scope, and one of secret, certificate (a PEM
file with key and certificate) or token_file (a foreign issuer's token, as in a cluster).
"""

import json
import sys

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    WorkloadIdentityCredential,
)

ask = json.load(sys.stdin)
common = {"authority": ask["authority"], "disable_instance_discovery": True}
if "secret" in ask:
    credential = ClientSecretCredential(ask["tenant"], ask["client_id"], ask["secret"], **common)
elif "token_file" in ask:
    credential = WorkloadIdentityCredential(
        tenant_id=ask["tenant"],
        client_id=ask["client_id"],
        token_file_path=ask["token_file"],
        **common,
    )
else:
    credential = CertificateCredential(
        ask["tenant"], ask["client_id"], certificate_path=ask["certificate"], **common
    )
try:
    print(credential.get_token(ask["scope"]).token)
except ClientAuthenticationError as error:
    # Its text quotes the service; it never holds the secret.
    print(str(error).splitlines()[0])
    sys.exit(1)
