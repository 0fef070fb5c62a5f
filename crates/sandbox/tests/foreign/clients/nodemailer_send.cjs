// Sends one message with nodemailer over STARTTLS and XOAUTH2.
//
// Reads one JSON object: host, port, mailbox, token, recipients, message (a file).

const fs = require("node:fs");
const nodemailer = require("nodemailer");

const ask = JSON.parse(fs.readFileSync(0, "utf8"));
const transport = nodemailer.createTransport({
  host: ask.host,
  port: ask.port,
  secure: false,
  requireTLS: true,
  auth: { type: "OAuth2", user: ask.mailbox, accessToken: ask.token },
});
const message = {
  envelope: { from: ask.mailbox, to: ask.recipients },
  raw: fs.readFileSync(ask.message),
};
transport.sendMail(message).then(
  (info) => console.log(JSON.stringify({ accepted: info.accepted, response: info.response })),
  (error) => {
    console.log(JSON.stringify({ code: error.code, response: error.response ?? error.message }));
    process.exitCode = 1;
  },
);
