//! Programs that submit over SMTP to the running relay, each in every way it knows: what arrives at
//! the service is what the program handed in, octet for octet, behind one Received field.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sendas_testkit::process::Program;
use sendas_testkit::{canary, tools};
use serde_json::{Value, json};

use crate::relay::{RECIPIENT, Stage, Tee, Way, message, password, without_received};

/// Runs one program in all of these ways against one relay.
async fn each(ways: &[Way], name: &str, program: impl AsyncFn(&Stage, Way, &Path)) {
    let mut stage = Stage::set().await;
    for &way in ways {
        let sent = message(&stage.mailbox(), name);
        let file = stage.home.path().join("message.eml");
        std::fs::write(&file, &sent).unwrap();
        program(&stage, way, &file).await;
        stage.expect(way, &sent).await;
    }
    stage.strike().await;
}

#[tokio::test]
async fn swaks() {
    each(&Way::ALL, "swaks", async |stage, way, file| {
        // It is told to change nothing, not even for transparency: that is done here.
        let text = std::fs::read_to_string(file).unwrap();
        let text: String = text
            .split_inclusive('\n')
            .map(|line| {
                if line.starts_with('.') {
                    format!(".{line}")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        stage.home.write("swaks.data", &format!("{text}."));
        let port = stage.port(way).to_string();
        let mailbox = stage.mailbox();
        let certificate = stage.certificate();
        let program = stage
            .foreign("swaks")
            .args([
                "--server",
                "localhost",
                "--port",
                &port,
                "--ehlo",
                "client.example",
            ])
            .args(["--from", &mailbox, "--to", RECIPIENT, "--suppress-data"])
            .args([
                "--no-data-fixup",
                "--data",
                "@swaks.data",
                "--protect-prompt",
            ]);
        let program = match way.tls() {
            "none" => program,
            "starttls" => program.arg("--tls"),
            _ => program.arg("--tls-on-connect"),
        };
        let program = match way.tls() {
            "none" => program,
            _ => program
                .args(["--tls-verify", "--tls-ca-path"])
                .arg(certificate),
        };
        // A password among the arguments would be everybody's: it stands in a file of settings.
        let secret = format!("auth-password {}\n", password());
        stage.home.write("swaks.rc", &secret);
        let program = match way.auth() {
            Some(auth) => program
                .args([
                    "--auth",
                    auth,
                    "--auth-user",
                    way.user(),
                    "--auth-hide-password",
                ])
                .args(["--config", "swaks.rc"]),
            None => program,
        };
        drop(program.run().await.success());
    })
    .await;
}

#[tokio::test]
async fn msmtp() {
    each(&Way::ALL, "msmtp", async |stage, way, file| {
        let tls = match way.tls() {
            "none" => "tls off\n".to_owned(),
            kind => format!(
                "tls on\ntls_starttls {}\ntls_trust_file {}\n",
                if kind == "starttls" { "on" } else { "off" },
                stage.certificate().display()
            ),
        };
        let auth = match way.auth() {
            Some(auth) => {
                stage.home.write("password", &password());
                let (auth, user) = (auth.to_ascii_lowercase(), way.user());
                format!("auth {auth}\nuser {user}\npasswordeval cat password\n")
            }
            None => "auth off\n".to_owned(),
        };
        stage.home.write(
            "msmtprc",
            &format!(
                "account relay\nhost localhost\nport {}\ndomain client.example\nfrom {}\n{tls}{auth}",
                stage.port(way),
                stage.mailbox(),
            ),
        );
        let program = stage
            .foreign("msmtp")
            .args(["--file", "msmtprc", "--account", "relay", "--", RECIPIENT]);
        drop(program.stdin(std::fs::read(file).unwrap()).run().await.success());
    })
    .await;
}

#[tokio::test]
async fn curl() {
    each(&Way::ALL, "curl", async |stage, way, file| {
        let scheme = if way.tls() == "implicit" {
            "smtps"
        } else {
            "smtp"
        };
        let mut config = format!(
            "url = \"{scheme}://localhost:{}/client.example\"\n\
             mail-from = \"{}\"\n\
             mail-rcpt = \"{RECIPIENT}\"\n",
            stage.port(way),
            stage.mailbox(),
        );
        if way.tls() != "none" {
            let certificate = stage.certificate();
            _ = writeln!(config, "ssl-reqd\ncacert = \"{}\"", certificate.display());
        }
        if let Some(auth) = way.auth() {
            _ = writeln!(config, "login-options = \"AUTH={auth}\"");
            _ = writeln!(config, "user = \"{}:{}\"", way.user(), password());
        }
        stage.home.write("send.curl", &config);
        let program = stage
            .foreign("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "40",
                "--config",
                "send.curl",
            ])
            .arg("--upload-file")
            .arg(file);
        assert_eq!(program.run().await.success().out(), "");
    })
    .await;
}

#[tokio::test]
async fn smtplib_of_python() {
    each(&Way::ALL, "smtplib", async |stage, way, file| {
        let done = smtplib(&ask(stage, way, file)).run().await;
        assert_eq!(done.success().out(), "sent\n");
    })
    .await;
}

fn smtplib(ask: &Value) -> Program {
    Program::new(tools::python())
        .clean_env()
        .arg(client("smtplib_submit.py"))
        .stdin(ask.to_string())
}

#[tokio::test]
async fn nodemailer() {
    each(&Way::ALL, "nodemailer", async |stage, way, file| {
        let done = with_nodemailer(stage, &ask(stage, way, file)).run().await;
        let answer = done.success().out();
        assert!(answer.starts_with("250 2.0.0 "), "{answer}");
    })
    .await;
}

fn with_nodemailer(stage: &Stage, ask: &Value) -> Program {
    Program::new(tools::node())
        .clean_env()
        .env("NODE_EXTRA_CA_CERTS", stage.certificate())
        .env("NODE_PATH", tools::node_modules())
        .arg(client("nodemailer_submit.cjs"))
        .stdin(ask.to_string())
}

/// The programs understand what the relay refuses, and nothing is kept.
#[tokio::test]
async fn refusals_are_understood() {
    let stage = Stage::set().await;
    let file = stage.home.path().join("message.eml");
    std::fs::write(&file, message(&stage.mailbox(), "refused")).unwrap();
    let wrong = canary::secret("wrong");
    for (member, value, reply) in [
        ("password", wrong.as_str(), "535 5.7.8 "),
        ("mailbox", "boss@contoso.onmicrosoft.com", "550 5.7.1 "),
    ] {
        let mut ask = ask(&stage, Way::StarttlsPlain, &file);
        ask[member] = value.into();
        let done = with_nodemailer(&stage, &ask).run().await;
        assert!(!done.status.success(), "{member}");
        assert!(done.out().starts_with(reply), "{member}: {}", done.out());
        let done = smtplib(&ask).run().await;
        assert!(!done.status.success(), "{member}");
        let (code, text) = reply.split_once(' ').unwrap();
        let shown = format!("({code}, b'{text}");
        assert!(done.err().contains(&shown), "{member}: {}", done.err());
    }
    let count = stage.home.sendas(["queue", "count", "--json"]);
    let config = stage.home.path().join("sendas.toml");
    let count = count.env("SENDAS_CONFIG", config).run().await.success();
    let count: Value = serde_json::from_str(&count.out()).unwrap();
    assert_eq!(count["messages"], 0, "{count}");
    stage.strike().await;
}

/// It knows neither TLS nor AUTH, and makes its messages itself: what it said is heard on the way.
#[tokio::test]
async fn smtp_source() {
    let mut stage = Stage::set().await;
    let tee = Tee::start(stage.plain).await;
    let (sessions, messages) = (4, 20);
    let program = tools::smtp_source()
        .args(["-s", &sessions.to_string(), "-m", &messages.to_string()])
        .args(["-l", "3000", "-d", "-M", "client.example"])
        .args(["-f", &stage.mailbox(), "-t", RECIPIENT])
        .arg(format!("127.0.0.1:{}", tee.port));
    drop(program.run().await.success());
    let mut sent = tee.messages(sessions).await;
    assert_eq!(sent.len(), messages);
    assert!(sent.iter().all(|message| message.len() >= 3000));
    let mut arrived: Vec<Vec<u8>> = stage
        .arrived(messages)
        .await
        .iter()
        .map(|(_, octets)| without_received(octets).1.to_vec())
        .collect();
    sent.sort();
    arrived.sort();
    assert!(sent == arrived, "some octets were changed");
    stage.strike().await;
}

/// What a script of `clients/` reads.
fn ask(stage: &Stage, way: Way, file: &Path) -> Value {
    json!({
        "host": "localhost",
        "port": stage.port(way),
        "tls": way.tls(),
        "ca": stage.certificate(),
        "auth": way.auth(),
        "user": way.user(),
        "password": password(),
        "mailbox": stage.mailbox(),
        "recipients": [RECIPIENT],
        "message": file,
    })
}

fn client(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/foreign/clients")
        .join(script)
}
