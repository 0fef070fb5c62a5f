// Fetches a token with MSAL for Node and prints it.
//
// Reads one JSON object: authority, host, client_id, scope, and either secret or certificate (a PEM
// file with key and certificate) with its SHA-256 thumbprint in hexadecimal.

const fs = require("node:fs");
const { ConfidentialClientApplication } = require("@azure/msal-node");

const ask = JSON.parse(fs.readFileSync(0, "utf8"));
const auth = { clientId: ask.client_id, authority: ask.authority, knownAuthorities: [ask.host] };
if (ask.secret) {
  auth.clientSecret = ask.secret;
} else {
  const pem = fs.readFileSync(ask.certificate, "ascii");
  const head = "-----BEGIN CERTIFICATE-----";
  const privateKey = pem.slice(0, pem.indexOf(head));
  auth.clientCertificate = { thumbprintSha256: ask.thumbprint_sha256, privateKey };
}

const application = new ConfidentialClientApplication({ auth });
application.acquireTokenByClientCredential({ scopes: [ask.scope] }).then(
  (answer) => console.log(answer.accessToken),
  (error) => {
    console.log(JSON.stringify({ error: error.errorCode, error_codes: error.errorNo }));
    process.exitCode = 1;
  },
);
