"""Fetches a token with MSAL for Python and prints it.

Reads one JSON object: authority, client_id, scope, and either secret or certificate (a PEM file
with key and certificate) with its SHA-1 thumbprint in hexadecimal, or without one for SHA-256.
"""

import json
import sys

import msal

ask = json.load(sys.stdin)
if "secret" in ask:
    credential = ask["secret"]
else:
    with open(ask["certificate"], encoding="ascii") as file:
        pem = file.read()
    head = "-----BEGIN CERTIFICATE-----"
    certificate = head + pem.split(head, 1)[1]
    credential = {"private_key": pem.split(head, 1)[0], "public_certificate": certificate}
    if "thumbprint" in ask:
        credential = {"private_key": credential["private_key"], "thumbprint": ask["thumbprint"]}

application = msal.ConfidentialClientApplication(
    ask["client_id"],
    authority=ask["authority"],
    client_credential=credential,
    instance_discovery=False,
)
answer = application.acquire_token_for_client(scopes=[ask["scope"]])
if "access_token" not in answer:
    print(json.dumps({"error": answer["error"], "error_codes": answer.get("error_codes")}))
    sys.exit(1)
again = application.acquire_token_for_client(scopes=[ask["scope"]])
assert again["access_token"] == answer["access_token"], "MSAL did not keep the token"
print(answer["access_token"])
