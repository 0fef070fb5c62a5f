// Submits one message with nodemailer to a relay, and prints the relay's last reply.
//
// Reads one JSON object: host, port, tls (none, starttls, implicit), auth (PLAIN, LOGIN or null),
// user, password, mailbox, recipients, message (a file).

const fs = require("node:fs");
const nodemailer = require("nodemailer");

const ask = JSON.parse(fs.readFileSync(0, "utf8"));
const transport = nodemailer.createTransport({
  host: ask.host,
  port: ask.port,
  secure: ask.tls === "implicit",
  requireTLS: ask.tls === "starttls",
  ignoreTLS: ask.tls === "none",
  authMethod: ask.auth ?? undefined,
  auth: ask.auth ? { user: ask.user, pass: ask.password } : undefined,
});
const message = {
  envelope: { from: ask.mailbox, to: ask.recipients },
  raw: fs.readFileSync(ask.message),
};
transport.sendMail(message).then(
  (info) => console.log(info.response),
  (error) => {
    console.log(error.response ?? error.message);
    process.exitCode = 1;
  },
);
