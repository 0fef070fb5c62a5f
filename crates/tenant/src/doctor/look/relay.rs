//! Listeners and spool of the relay; nothing is written.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::machine::mode;
use crate::doctor::case::{ListenerTls, Relay, Spool};
use crate::doctor::seen::{Look, Port, RelaySeen, SpoolSeen};

/// How long a listener's greeting is waited for.
const GREETING: Duration = Duration::from_secs(2);

/// How a SQLite file begins (SQLite file format §1.3).
const MAGIC: &[u8] = b"SQLite format 3\0";

/// A TLS record with a handshake message that is none: whoever speaks TLS answers with an alert
/// (RFC 8446 §5.1, §6), and nobody has to be trusted to learn that.
const NO_HELLO: &[u8] = &[22, 3, 1, 0, 4, 255, 0, 0, 0];

/// How an alert begins: its type, and the major version.
const ALERT: [u8; 2] = [21, 3];

/// Looks at every listener, and at the spool.
pub(in crate::doctor) async fn look(relay: &Relay) -> Look<RelaySeen> {
    let ports = relay
        .listen
        .iter()
        .map(async |(address, tls)| (*address, port(*address, *tls).await));
    let spool = async {
        match &relay.spool {
            Spool::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || file(&path))
                    .await
                    .unwrap_or_default()
            }
            Spool::Shared(place) => SpoolSeen {
                is_reached: Some(reach(place.as_ref()).await),
                ..SpoolSeen::default()
            },
        }
    };
    let certificate = relay.certificate.clone();
    let certificate = tokio::task::spawn_blocking(move || certificate.as_deref().map(end_of));
    let (listeners, spool) = tokio::join!(futures_util::future::join_all(ports), spool);
    Ok(RelaySeen {
        listeners,
        certificate: certificate.await.unwrap_or_default(),
        spool,
    })
}

/// The end of the first certificate in a PEM file.
fn end_of(path: &Path) -> Result<Timestamp, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&text).map_err(|error| error.to_string())?;
    let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
    let end = certificate.validity().not_after.timestamp();
    Timestamp::from_second(end).map_err(|error| error.to_string())
}

async fn port(address: SocketAddr, tls: ListenerTls) -> Port {
    match TcpListener::bind(address).await {
        Ok(_) => return Port::Free,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
        Err(error) => return Port::Refused(error.to_string()),
    }
    let mut near = address;
    if near.ip().is_unspecified() {
        near.set_ip(match near {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let greeting = async {
        let mut stream = TcpStream::connect(near).await.ok()?;
        let mut start = [0; 4];
        if tls == ListenerTls::Implicit {
            stream.write_all(NO_HELLO).await.ok()?;
            stream.read_exact(&mut start).await.ok()?;
            return start.starts_with(&ALERT).then_some(());
        }
        stream.read_exact(&mut start).await.ok()?;
        start.starts_with(b"220").then_some(())
    };
    match tokio::time::timeout(GREETING, greeting).await {
        Ok(Some(())) => Port::Answers,
        _ => Port::Taken,
    }
}

async fn reach(place: Option<&(String, u16)>) -> Result<(), String> {
    let Some((host, port)) = place else {
        return Err("its address names no host".to_owned());
    };
    match tokio::time::timeout(GREETING, TcpStream::connect((host.as_str(), *port))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", GREETING.as_secs())),
    }
}

fn file(path: &Path) -> SpoolSeen {
    let folder: PathBuf = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let missing = fs::metadata(&folder)
        .map_err(|error| error.to_string())
        .and_then(|found| {
            if found.is_dir() {
                Ok(())
            } else {
                Err("it is no folder".to_owned())
            }
        })
        .err();
    let is_database = fs::File::open(path).ok().map(|file| {
        use std::io::Read as _;
        let mut start = Vec::new();
        let read = file.take(MAGIC.len() as u64).read_to_end(&mut start);
        read.is_ok() && (start.is_empty() || start == MAGIC)
    });
    SpoolSeen {
        is_folder_writable: missing
            .is_none()
            .then(|| tempfile::tempfile_in(&folder).is_ok()),
        file_system: file_system(&folder),
        mode: mode(path),
        free_octets: free_octets(&folder),
        is_database,
        folder: missing,
        is_reached: None,
    }
}

/// What may still be written under a folder.
#[cfg(unix)]
fn free_octets(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free_octets(_: &Path) -> Option<u64> {
    None
}

/// The kind of file system under a folder (Linux).
fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (_, place, kind) = (words.next()?, words.next()?, words.next()?);
            folder.starts_with(place).then_some((place.len(), kind))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind.to_owned())
}
