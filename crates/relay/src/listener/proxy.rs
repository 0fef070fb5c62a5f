//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`): who is behind a load
//! balancer. Read from trusted networks only, never octets beyond the header.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::limits::PROXY_HEADER_OCTETS_MAX;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Octets of the fixed part of version 2.
const V2_HEAD: usize = 16;

/// Octets of version 1 with its CRLF at most (§2.1).
const V1_MAX: usize = 107;

/// The address that a header tells; `None` for the balancer's own connections.
///
/// # Errors
/// When there is no header, or not in this form: the connection must be closed.
pub(crate) async fn read<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<Option<IpAddr>> {
    let mut head = [0; SIGNATURE.len()];
    io.read_exact(&mut head).await?;
    if head == SIGNATURE {
        return version_2(io).await;
    }
    version_1(io, &head).await
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, read octet by octet to its CRLF: nothing of what
/// follows is ours to take.
async fn version_1<IO: AsyncRead + Unpin>(io: &mut IO, head: &[u8]) -> io::Result<Option<IpAddr>> {
    if !head.starts_with(b"PROXY ") {
        return Err(malformed());
    }
    let mut line = head.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_MAX {
            return Err(malformed());
        }
        line.push(io.read_u8().await?);
    }
    parse_line(&line)
}

fn parse_line(line: &[u8]) -> io::Result<Option<IpAddr>> {
    let text = std::str::from_utf8(line)
        .ok()
        .and_then(|t| t.strip_suffix("\r\n"));
    let text = text
        .filter(|t| !t.contains(['\r', '\n', '\0']))
        .ok_or_else(malformed)?;
    let words: Vec<&str> = text.split(' ').collect();
    let port = |word: &str| word.bytes().all(|b| b.is_ascii_digit()) && word.parse::<u16>().is_ok();
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family, source, target, from, to] if port(from) && port(to) => {
            let parse = |word: &str| -> Option<IpAddr> {
                match *family {
                    "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
                    "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
                    _ => None,
                }
            };
            match (parse(source), parse(target)) {
                (Some(source), Some(_)) => Ok(Some(source)),
                _ => Err(malformed()),
            }
        }
        _ => Err(malformed()),
    }
}

async fn version_2<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<Option<IpAddr>> {
    let mut fixed = [0; V2_HEAD - SIGNATURE.len()];
    io.read_exact(&mut fixed).await?;
    let [version_command, family, high, low] = fixed;
    let octets = usize::from(u16::from_be_bytes([high, low]));
    if octets + V2_HEAD > PROXY_HEADER_OCTETS_MAX {
        return Err(malformed());
    }
    let mut rest = vec![0; octets];
    io.read_exact(&mut rest).await?;
    match (version_command, family) {
        // LOCAL: the balancer itself.
        (0x20, _) => Ok(None),
        (0x21, 0x11) => match rest.first_chunk::<4>() {
            Some(source) if octets >= 12 => Ok(Some(IpAddr::from(*source))),
            _ => Err(malformed()),
        },
        (0x21, 0x21) => match rest.first_chunk::<16>() {
            Some(source) if octets >= 36 => Ok(Some(IpAddr::from(*source))),
            _ => Err(malformed()),
        },
        // PROXY of a family without addresses that we know (§2.2): its sender is unknown.
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY protocol header")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a header tells, and the octets left behind it.
    fn tell(octets: &[u8]) -> Result<(Option<String>, Vec<u8>), ()> {
        let mut io = octets;
        let (told, _) = sendas_testkit::clock::paused(async { read(&mut io).await });
        told.map(|told| (told.map(|ip| ip.to_string()), io.to_vec()))
            .map_err(|_| ())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend([command, family]);
        out.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        out.extend(rest);
        out
    }

    #[test]
    fn both_versions() {
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2];
        let mut six = [0; 36];
        six[15] = 1;
        let mut extended = four.to_vec();
        extended.extend([4, 0, 1, 0]);
        for (octets, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO".to_vec(),
                Some("192.0.2.1"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 1 2\r\nEHLO".to_vec(),
                Some("2001:db8::1"),
            ),
            (b"PROXY UNKNOWN\r\nEHLO".to_vec(), None),
            (b"PROXY UNKNOWN ff ff 1 2\r\nEHLO".to_vec(), None),
            (
                [v2(0x21, 0x11, &four), b"EHLO".to_vec()].concat(),
                Some("192.0.2.1"),
            ),
            (
                [v2(0x21, 0x21, &six), b"EHLO".to_vec()].concat(),
                Some("::1"),
            ),
            (
                [v2(0x21, 0x11, &extended), b"EHLO".to_vec()].concat(),
                Some("192.0.2.1"),
            ),
            ([v2(0x20, 0, &[]), b"EHLO".to_vec()].concat(), None),
        ] {
            let (told, left) = tell(&octets).unwrap();
            assert_eq!((told.as_deref(), left.as_slice()), (expected, &b"EHLO"[..]));
        }
    }

    #[test]
    fn everything_else_is_no_header() {
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2];
        for octets in [
            b"EHLO a.example.org\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\n\n\n\n".to_vec(),
            b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n".to_vec(),
            b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            b"proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
            v2(0x21, 0x11, &four[..8]),
            v2(0x21, 0x21, &four),
            v2(0x21, 0x12, &four),
            v2(0x31, 0x11, &four),
            v2(0x21, 0x11, &[0; 1000]),
            SIGNATURE.to_vec(),
            Vec::new(),
        ] {
            assert_eq!(tell(&octets), Err(()), "{}", octets.escape_ascii());
        }
    }
}
