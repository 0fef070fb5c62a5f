// Makes an application, its service principal, a secret and the grant of SMTP.SendAsApp with the
// Microsoft Graph client for JavaScript, and prints what it made. Reads one JSON object: graph (the
// address), token.

const { Client, PageIterator } = require("@microsoft/microsoft-graph-client");

async function main(ask) {
  const client = Client.init({
    baseUrl: ask.graph,
    defaultVersion: "v1.0",
    customHosts: new Set([new URL(ask.graph).hostname]),
    authProvider: (done) => done(null, ask.token),
  });
  const exchange = await client
    .api("/servicePrincipals")
    .filter("appId eq '00000002-0000-0ff1-ce00-000000000000'")
    .select("id,appRoles")
    .get();
  const resource = exchange.value[0];
  const role = resource.appRoles.find((role) => role.value === "SMTP.SendAsApp");
  const application = await client.api("/applications").post({
    displayName: "made by a foreign client",
    signInAudience: "AzureADMyOrg",
    requiredResourceAccess: [
      {
        resourceAppId: "00000002-0000-0ff1-ce00-000000000000",
        resourceAccess: [{ id: role.id, type: "Role" }],
      },
    ],
  });
  const principal = await client.api("/servicePrincipals").post({ appId: application.appId });
  const grant = { principalId: principal.id, resourceId: resource.id, appRoleId: role.id };
  await client.api(`/servicePrincipals/${resource.id}/appRoleAssignedTo`).post(grant);
  let twice;
  try {
    await client.api(`/servicePrincipals/${principal.id}/appRoleAssignments`).post(grant);
  } catch (error) {
    twice = { status: error.statusCode, code: error.code, message: error.message };
  }
  const secret = await client
    .api(`/applications/${application.id}/addPassword`)
    .post({ passwordCredential: { displayName: "by javascript" } });
  await client.api(`/applications/${application.id}`).patch({ notes: "changed" });
  const names = [];
  const first = await client.api("/servicePrincipals").top(1).get();
  await new PageIterator(client, first, (one) => names.push(one.displayName)).iterate();
  const organization = await client.api("/organization").get();
  console.log(
    JSON.stringify({
      client_id: application.appId,
      object_id: principal.id,
      secret: secret.secretText,
      twice,
      names,
      tenant: organization.value[0].id,
    }),
  );
}

let text = "";
process.stdin.on("data", (part) => (text += part));
process.stdin.on("end", () => main(JSON.parse(text)));
