//! A look at the index's log before SQLite reads it: is there anything behind a break?
//!
//! SQLite ends its write-ahead log at the first frame that does not match its checksum: right for
//! a commit that a power cut has torn, which nobody was promised. A flipped bit further up would
//! take every commit behind it along in silence. Each frame's checksum continues the one before,
//! so what lies behind a break can still be recognized. Layout: SQLite, "WAL-mode file format".

/// Octets of the log's head.
const HEAD_OCTETS: usize = 32;
/// Octets before each page.
const FRAME_HEAD_OCTETS: usize = 24;
/// The page size of our indexes, for a head that cannot be read.
const PAGE_OCTETS: usize = 4096;
/// The magic number; its last bit says that checksums are reckoned in big-endian words.
const MAGIC: u32 = 0x377f_0682;

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// Commits that SQLite will read.
    pub(crate) commits: u64,
    /// Commits of the same log from the first break on.
    pub(crate) behind: u64,
    /// Whether the break is in the log's head.
    pub(crate) headless: bool,
}

impl Log {
    /// Whether a damage, not a torn last commit, must be the reason of the break.
    ///
    /// A power cut tears the last commit at most; and the head is synced before any frame.
    pub(crate) const fn is_damaged(self) -> bool {
        self.behind > 1 || (self.headless && self.behind > 0)
    }
}

/// Reads a log from its octets.
pub(crate) fn inspect(octets: &[u8]) -> Log {
    let mut log = Log::default();
    let Some((head, frames)) = octets.split_at_checked(HEAD_OCTETS) else {
        return log;
    };
    let magic = word(head, 0);
    let big = if magic & !1 == MAGIC {
        magic & 1 == 1
    } else {
        cfg!(target_endian = "big")
    };
    let mut before = checksum((0, 0), &head[..24], big);
    let sound = magic & !1 == MAGIC && before == pair(head, 24);
    let page = match usize::try_from(word(head, 8)) {
        Ok(size) if sound && size.is_power_of_two() => size,
        _ => PAGE_OCTETS,
    };
    let mut salts = sound.then(|| pair(head, 16));
    log.headless = !sound;
    let mut broken = !sound;
    for frame in frames.chunks_exact(FRAME_HEAD_OCTETS + page) {
        let wanted = *salts.get_or_insert_with(|| pair(frame, 8));
        let found = pair(frame, 8);
        let reckoned = checksum(checksum(before, &frame[..8], big), &frame[24..], big);
        before = pair(frame, 16);
        let whole = found == wanted && reckoned == before;
        // Of what does not match, only the first frame is believed to be what it says.
        let first = !whole && !broken;
        broken |= !whole;
        // An older log's remains have neither of its two random numbers; a flipped bit spares one.
        let ours = found.0 == wanted.0 || found.1 == wanted.1;
        let commit = word(frame, 4) != 0;
        match (commit, broken) {
            (true, false) => log.commits += 1,
            (true, true) if ours && (whole || first) => log.behind += 1,
            _ => {}
        }
    }
    log
}

/// Continues a checksum over words of four octets, two at a time.
fn checksum((mut a, mut b): (u32, u32), octets: &[u8], big: bool) -> (u32, u32) {
    let read = |at: &[u8]| {
        let four = at.try_into().expect("four octets");
        if big {
            u32::from_be_bytes(four)
        } else {
            u32::from_le_bytes(four)
        }
    };
    for eight in octets.chunks_exact(8) {
        a = a.wrapping_add(read(&eight[..4])).wrapping_add(b);
        b = b.wrapping_add(read(&eight[4..])).wrapping_add(a);
    }
    (a, b)
}

fn pair(octets: &[u8], at: usize) -> (u32, u32) {
    (word(octets, at), word(octets, at + 4))
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().expect("four octets"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A log with ten commits, and an older one's remains behind them.
    fn log() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let index = Connection::open(&path).unwrap();
        index.pragma_update(None, "journal_mode", "WAL").unwrap();
        index.execute_batch("CREATE TABLE t (x)").unwrap();
        for _ in 0..30 {
            index.execute("INSERT INTO t VALUES (1)", []).unwrap();
        }
        index
            .query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))
            .unwrap();
        for _ in 0..10 {
            index.execute("INSERT INTO t VALUES (2)", []).unwrap();
        }
        std::fs::read(folder.path().join("a.db-wal")).unwrap()
    }

    #[test]
    fn a_sound_log_and_its_tails() {
        let log = log();
        let sound = inspect(&log);
        assert_eq!(
            (sound.commits, sound.behind, sound.headless),
            (10, 0, false)
        );
        assert_eq!(inspect(&[]), Log::default());
        assert!(!inspect(&[0; 9000]).is_damaged());
        // A cut anywhere is no damage.
        for cut in (0..log.len()).step_by(1009) {
            assert!(!inspect(&log[..cut]).is_damaged(), "{cut}");
        }
    }

    #[test]
    fn a_flipped_bit_is_told_from_a_torn_end() {
        let log = log();
        let frame = FRAME_HEAD_OCTETS + PAGE_OCTETS;
        for at in (0..HEAD_OCTETS).chain((HEAD_OCTETS..HEAD_OCTETS + 9 * frame).step_by(397)) {
            let mut bad = log.clone();
            bad[at] ^= 4;
            let read = inspect(&bad);
            // The head's checkpoint number and version are covered by its checksum as well.
            assert!(read.is_damaged(), "octet {at}: {read:?}");
        }
        let mut torn = log;
        torn[HEAD_OCTETS + 9 * frame + 100] ^= 4;
        let read = inspect(&torn);
        assert_eq!((read.commits, read.is_damaged()), (9, false));
    }
}
