//! 32 forms of an end that is none, in every delivery, over every kind of listener, and nothing
//! odd on the way to the service.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use sendas_config::LineEndings;
use sendas_sandbox::Filter as Seen;
use sendas_smtp::data::DotWriter;
use sendas_spool::State;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::forms::{FORMS, TRUE_END_INSIDE};
use crate::stage::{Client, Stage};

/// Sessions at a time.
const SESSIONS: usize = 16;

/// What a smuggler puts behind its end; the last line is a true end.
const TAIL: &[u8] =
    b"MAIL FROM:<evil@contoso.test>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nsmuggled\r\n.\r\n";

const HEADER: &[u8] = b"Date: d\r\nSubject: s\r\n\r\nx";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Wire {
    Plain,
    Starttls,
    Implicit,
}

/// How a body arrives.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    OneWrite,
    OctetByOctet,
    /// In two writes, cut so many octets into the form.
    CutInside(usize),
    /// The form alone in a segment, and in a TLS record.
    Alone,
    AsFirstOctets,
    BehindTooMuch,
    InChunk,
    /// With the next commands in the same segment, and more behind them.
    WithCommands,
}

impl Delivery {
    fn all(form: &[u8]) -> Vec<Self> {
        let mut all = vec![
            Self::OneWrite,
            Self::OctetByOctet,
            Self::Alone,
            Self::AsFirstOctets,
            Self::BehindTooMuch,
            Self::InChunk,
            Self::WithCommands,
        ];
        all.extend((0..=form.len()).map(Self::CutInside));
        all
    }

    /// The writes after the reply to DATA.
    fn writes(self, form: &[u8]) -> Vec<Vec<u8>> {
        let whole = [HEADER, form, TAIL].concat();
        match self {
            Self::OneWrite => vec![whole],
            Self::OctetByOctet => whole.iter().map(|octet| vec![*octet]).collect(),
            Self::CutInside(at) => {
                let (one, two) = whole.split_at(HEADER.len() + at);
                vec![one.to_vec(), two.to_vec()]
            }
            Self::Alone => vec![HEADER.to_vec(), form.to_vec(), TAIL.to_vec()],
            Self::AsFirstOctets => vec![[form, TAIL].concat()],
            Self::BehindTooMuch => {
                let much = b"0123456789abcdef0123456789abcdef\r\n".repeat(200);
                vec![HEADER.to_vec(), much, [b"x", form, TAIL].concat()]
            }
            Self::InChunk => {
                let chunk = format!("BDAT {} LAST\r\n", whole.len());
                vec![[chunk.as_bytes(), &whole].concat()]
            }
            Self::WithCommands => vec![[&whole[..], b"NOOP\r\nNOOP\r\n"].concat()],
        }
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Trusts the relay's own certificate.
fn trust(stage: &Stage) -> Arc<ClientConfig> {
    let pem = std::fs::read(stage.folder.path().join("relay.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    Arc::new(
        ClientConfig::builder_with_provider(sendas_tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

async fn open(stage: &Stage, tls: &Arc<ClientConfig>, wire: Wire) -> Client<Box<dyn Io>> {
    let boxed = |io: Box<dyn Io>, greeting: String| Client {
        io: BufReader::new(io),
        greeting,
    };
    let shake = async |stream: TcpStream| {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connector = TlsConnector::from(Arc::clone(tls));
        connector.connect(name, stream).await.unwrap()
    };
    let stream = TcpStream::connect(stage.addresses[wire as usize])
        .await
        .unwrap();
    stream.set_nodelay(true).unwrap();
    match wire {
        Wire::Plain => {
            let client = Client::over(stream).await;
            boxed(Box::new(client.io.into_inner()), client.greeting)
        }
        Wire::Starttls => {
            let mut client = Client::over(stream).await;
            client.say("EHLO c").await;
            assert!(client.say("STARTTLS").await.starts_with("220"));
            boxed(Box::new(shake(client.io.into_inner()).await), String::new())
        }
        Wire::Implicit => {
            let client = Client::over(shake(stream).await).await;
            boxed(Box::new(client.io.into_inner()), client.greeting)
        }
    }
}

/// The codes of the replies after the body; `-` when the connection is over.
async fn attack(
    stage: &Stage,
    tls: &Arc<ClientConfig>,
    wire: Wire,
    form: &[u8],
    delivery: Delivery,
) -> String {
    let mut client = open(stage, tls, wire).await;
    client.open(&stage.own, &["x@example.org"]).await;
    if !matches!(delivery, Delivery::InChunk) {
        assert!(client.say("DATA").await.starts_with("354"));
    }
    for piece in delivery.writes(form) {
        // A relay that has closed takes no more.
        if client.io.write_all(&piece).await.is_err() || client.io.flush().await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    drop(client.io.write_all(b"VRFY end\r\n").await);
    drop(client.io.flush().await);
    let mut codes = Vec::new();
    loop {
        let reply = client.reply().await;
        match reply.get(..3) {
            None => codes.push("-".to_owned()),
            Some("252") => {}
            Some(code) => {
                codes.push(code.to_owned());
                continue;
            }
        }
        return codes.join(" ");
    }
}

/// All forms in all deliveries over these listeners; says how many messages were kept.
async fn siege(stage: &Stage, wires: &[Wire], skipped: Option<&[u8]>) -> usize {
    let tls = trust(stage);
    let mut attacks = Vec::new();
    for &wire in wires {
        for form in FORMS.iter().filter(|form| Some(**form) != skipped) {
            for delivery in Delivery::all(form) {
                attacks.push((wire, *form, delivery));
            }
        }
    }
    assert!(attacks.len() >= 31 * 8 * wires.len());
    let attempts = attacks.into_iter().map(|(wire, form, delivery)| {
        let tls = &tls;
        async move {
            let codes = attack(stage, tls, wire, form, delivery).await;
            (wire, form, delivery, codes)
        }
    });
    let mut kept = 0;
    let mut running = futures_util::stream::iter(attempts).buffer_unordered(SESSIONS);
    while let Some((wire, form, delivery, codes)) = running.next().await {
        let name = format!("{} {delivery:?} {wire:?}: {codes}", form.escape_ascii());
        let noops = if matches!(delivery, Delivery::WithCommands) {
            " 250 250"
        } else {
            ""
        };
        // One message that holds all of it, or none: too large, or refused.
        let whole = format!("250{noops}");
        let refused = ["552", "552 -", "554", "554 -", "-"];
        assert!(codes == whole || refused.contains(&&*codes), "{name}");
        kept += usize::from(codes == whole);
    }
    kept
}

/// What was kept is what was counted, nothing was smuggled, and the service got whole lines.
async fn take_stock(stage: &Stage, kept: usize) {
    let all = stage.settled(kept).await;
    assert_eq!(all.len(), kept);
    assert!(
        all.iter()
            .all(|message| message.summary.sender == stage.own)
    );
    let arrived = stage.sandbox.messages(&Seen::default());
    assert_eq!(arrived.len(), kept);
    for message in arrived {
        assert_eq!(message.reverse_path, stage.own);
        let raw = stage.sandbox.raw(message.id).unwrap().unwrap();
        assert!(memchr::memmem::find(&raw, b"smuggled\r\n").is_some());
        assert!(has_whole_lines_only(&raw), "{}", raw.escape_ascii());
    }
}

fn has_whole_lines_only(octets: &[u8]) -> bool {
    let mut check = sendas_smtp::data::LineCheck::default();
    check.check(octets).is_ok() && check.finish().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_in_any_delivery_over_any_listener_ends_a_message() {
    let stage = Stage::with(|relay| relay.clients[0].message_size_octets_max = Some(4_000)).await;
    let kept = siege(&stage, &[Wire::Plain, Wire::Starttls, Wire::Implicit], None).await;
    take_stock(&stage, kept).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tolerant_client_opens_no_way_either() {
    let stage = Stage::with(|relay| {
        relay.clients[0].message_size_octets_max = Some(4_000);
        relay.clients[0].line_endings = LineEndings::Normalize;
    })
    .await;
    let kept = siege(&stage, &[Wire::Plain], Some(TRUE_END_INSIDE)).await;
    take_stock(&stage, kept).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_inside_the_end_keeps_nothing() {
    let stage = Stage::set().await;
    for rest in [&b"x\r\n."[..], b"x\r\n.\r", b"x\r\n", b"x", b""] {
        for is_reset in [false, true] {
            let mut client = stage.client().await;
            client.open(&stage.own, &["x@example.org"]).await;
            client.say("DATA").await;
            client.write(rest).await;
            let mut stream = client.io.into_inner();
            if is_reset {
                let socket = socket2::SockRef::from(&stream);
                socket.set_linger(Some(Duration::ZERO)).unwrap();
            } else {
                stream.shutdown().await.unwrap();
            }
        }
    }
    let gone = async {
        while stage.view.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap();
    assert!(stage.messages().await.is_empty());
    stage.stop().await;
}

/// Bodies of everything that line ends and dots can be.
fn odd_body(seed: u64) -> Vec<u8> {
    const PIECES: [&[u8]; 9] = [
        b"\r\n",
        b"\n",
        b"\r",
        b".",
        b"..",
        b"a",
        b"\xff",
        b"\r\n.",
        b"\r\n\r\n",
    ];
    let mut state = seed;
    let mut out = Vec::new();
    for _ in 0..40 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let at = usize::try_from(state >> 33).unwrap() % PIECES.len();
        out.extend_from_slice(PIECES[at]);
    }
    out.push(b'a');
    out
}

/// As a tolerant relay keeps it, and as SMTP ends a text.
fn mended(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut octets = body.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_never_sees_a_bare_line_end() {
    const BODIES: u64 = 200;
    let stage = Stage::with(|relay| relay.clients[0].line_endings = LineEndings::Normalize).await;
    let mut client = stage.client().await;
    client.say("EHLO c").await;
    let mut expected = BTreeSet::new();
    for seed in 0..BODIES {
        let body = odd_body(seed);
        let text = [format!("Subject: {seed}\r\n\r\n").as_bytes(), &body].concat();
        let own = &stage.own;
        let lines = format!("MAIL FROM:<{own}>\r\nRCPT TO:<x@example.org>\r\n");
        client.write(lines.as_bytes()).await;
        assert!(client.reply().await.starts_with("250"));
        assert!(client.reply().await.starts_with("250"));
        assert!(client.say("DATA").await.starts_with("354"));
        let (mut dots, mut wire) = (DotWriter::default(), BytesMut::new());
        dots.write(&text, &mut wire);
        dots.finish(&mut wire);
        client.write(&wire).await;
        let reply = client.reply().await;
        assert!(reply.starts_with("250"), "{reply} {}", body.escape_ascii());
        expected.insert((seed, mended(&body)));
    }
    let kept = usize::try_from(BODIES).unwrap();
    let all = stage
        .until(kept, |m| m.summary.state == State::Settled)
        .await;
    assert_eq!(all.len(), kept);
    for message in stage.sandbox.messages(&Seen::default()) {
        let raw = stage.sandbox.raw(message.id).unwrap().unwrap();
        assert!(has_whole_lines_only(&raw), "{}", raw.escape_ascii());
        let body = memchr::memmem::find(&raw, b"\r\n\r\n").unwrap() + 4;
        let found = (message.subject.parse().unwrap(), raw[body..].to_vec());
        assert!(expected.remove(&found), "{}", raw.escape_ascii());
    }
    assert!(expected.is_empty());
    stage.stop().await;
}
