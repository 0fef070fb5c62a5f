//! Durations and sizes as people write them.

use std::time::Duration;

/// Duration suffixes and their seconds.
const SECONDS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Size suffixes and their octets; only binary ones, so that no number has two meanings.
const OCTETS: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Reads a duration: a whole number and `ms`, `s`, `m`, `h` or `d`, as in `30s` or `5 d`.
///
/// # Errors
/// What is wrong, as half a sentence.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Some(number) = text.trim().strip_suffix("ms") {
        return number
            .trim()
            .parse()
            .map(Duration::from_millis)
            .map_err(|_| {
                "not a duration; write it like `500ms`, `30s`, `5m`, `2h` or `5d`".to_owned()
            });
    }
    scaled(text, SECONDS)
        .map(Duration::from_secs)
        .ok_or_else(|| {
            "not a duration; write it like `500ms`, `30s`, `5m`, `2h` or `5d`".to_owned()
        })
}

/// Reads a size: a whole number and `B`, `KiB`, `MiB` or `GiB`, as in `150 MiB`.
///
/// # Errors
/// What is wrong, as half a sentence.
pub fn size(text: &str) -> Result<u64, String> {
    scaled(text, OCTETS)
        .ok_or_else(|| "not a size; write it like `512 KiB`, `35 MiB` or `1 GiB`".to_owned())
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("30s", 30), ("5 m", 300), ("2h", 7_200), ("5d", 432_000)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5h",
            "1 week",
            "99999999999999999999s",
            "ms",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, octets) in [("10B", 10), ("2 KiB", 2048), ("150 MiB", 157_286_400)] {
            assert_eq!(size(text), Ok(octets), "{text}");
        }
        for text in ["", "150", "MiB", "1 MB", "-1 MiB", "99999999999999 GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
