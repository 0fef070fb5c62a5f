//! The index's tables, their migrations, and the settings every connection keeps.
//!
//! Each version brings its way up and its way down; both texts are stored in the index itself,
//! so that a program one version older finds the way back there.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use crate::error::OpenError;
use crate::limits::{BUSY_WAIT_MS, READER_CACHE_KIB, WRITER_CACHE_KIB};

/// Marks the file as a spool (`PRAGMA application_id`): "SDSP".
const APPLICATION_ID: i32 = 0x5344_5350;

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// The version it leads to, from 1.
    pub(crate) version: i64,
    /// Statements from the version before.
    pub(crate) up: &'static str,
    /// Statements back to the version before, without losing a message.
    pub(crate) down: &'static str,
}

/// All versions, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    up: include_str!("schema/0001_up.sql"),
    down: include_str!("schema/0001_down.sql"),
}];

/// Opens the index for writing, creating or migrating it.
pub(crate) fn open_writer(
    path: &Path,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<Connection, OpenError> {
    let mut index = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settle_connection(&index, WRITER_CACHE_KIB)?;
    // Before anything is written: a stranger's database stays as it is.
    if !is_spool_or_empty(&index)? {
        return Err(OpenError::NotASpool(path.to_owned()));
    }
    index.pragma_update(None, "journal_mode", "WAL")?;
    index.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint whose sync failed must not be tried again behind our back (ATC '20, fsync
    // failures): the writer runs each one itself and takes an error as the end.
    index.pragma_update(None, "wal_autocheckpoint", 0)?;
    if cfg!(target_os = "macos") {
        index.pragma_update(None, "fullfsync", 1)?;
        index.pragma_update(None, "checkpoint_fullfsync", 1)?;
    }
    migrate(&mut index, migrations, now)?;
    verify_durable(&index)?;
    Ok(index)
}

/// Opens the index for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let index = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settle_connection(&index, READER_CACHE_KIB)?;
    index.pragma_update(None, "wal_autocheckpoint", 0)?;
    index.pragma_update(None, "query_only", 1)?;
    let id: i32 = index.pragma_query_value(None, "application_id", |r| r.get(0))?;
    if id == APPLICATION_ID {
        Ok(index)
    } else {
        Err(OpenError::NotASpool(path.to_owned()))
    }
}

/// Asks the index whether it keeps what `250` rests on.
pub(crate) fn verify_durable(index: &Connection) -> Result<(), OpenError> {
    let mode: String = index.pragma_query_value(None, "journal_mode", |r| r.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NotDurable {
            pragma: "journal_mode",
            wanted: "wal",
            found: mode,
        });
    }
    let level: i64 = index.pragma_query_value(None, "synchronous", |r| r.get(0))?;
    if level < 2 {
        return Err(OpenError::NotDurable {
            pragma: "synchronous",
            wanted: "2 (full)",
            found: level.to_string(),
        });
    }
    if cfg!(target_os = "macos") {
        let full: i64 = index.pragma_query_value(None, "fullfsync", |r| r.get(0))?;
        if full != 1 {
            return Err(OpenError::NotDurable {
                pragma: "fullfsync",
                wanted: "1",
                found: full.to_string(),
            });
        }
    }
    Ok(())
}

/// The version an index has; 0 for an empty one.
pub(crate) fn version(index: &Connection) -> rusqlite::Result<i64> {
    index.pragma_query_value(None, "user_version", |r| r.get(0))
}

fn settle_connection(index: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    index.busy_timeout(Duration::from_millis(BUSY_WAIT_MS))?;
    index.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    index.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    index.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    index.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    index.pragma_update(None, "cell_size_check", 1)?;
    index.pragma_update(None, "cache_size", -cache_kib)?;
    index.pragma_update(None, "temp_store", "MEMORY")?;
    index.set_prepared_statement_cache_capacity(128);
    Ok(())
}

fn is_spool_or_empty(index: &Connection) -> rusqlite::Result<bool> {
    let id: i32 = index.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let tables: i64 = index.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    Ok(id == APPLICATION_ID || (id == 0 && tables == 0))
}

fn migrate(
    index: &mut Connection,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<(), OpenError> {
    let known = migrations.last().map_or(0, |m| m.version);
    let step = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&step)?;
    step.pragma_update(None, "application_id", APPLICATION_ID)?;
    if found > known {
        come_back(&step, found, known)?;
    }
    for migration in migrations.iter().filter(|m| m.version > found) {
        step.execute_batch(migration.up)?;
        step.execute(
            "INSERT INTO schema_history (version, applied_at, up, down) VALUES (?1, ?2, ?3, ?4)",
            (
                migration.version,
                now.as_millisecond(),
                migration.up,
                migration.down,
            ),
        )?;
        step.pragma_update(None, "user_version", migration.version)?;
    }
    step.commit()?;
    Ok(())
}

/// Goes back one version by the way its own program has left in the index.
fn come_back(step: &Connection, found: i64, known: i64) -> Result<(), OpenError> {
    let down: Option<String> = step
        .query_row(
            "SELECT down FROM schema_history WHERE version = ?1",
            [found],
            |r| r.get(0),
        )
        .optional()?;
    let (1, Some(down)) = (found - known, down) else {
        return Err(OpenError::TooNew { found, known });
    };
    step.execute_batch(&down)?;
    step.execute("DELETE FROM schema_history WHERE version = ?1", [found])?;
    step.pragma_update(None, "user_version", known)?;
    tracing::warn!(found, known, "the spool's index went back one version");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next version, as a newer program would bring it.
    const NEXT: &[Migration] = &[
        MIGRATIONS[0],
        Migration {
            version: 2,
            up: "ALTER TABLE messages ADD COLUMN priority INTEGER NOT NULL DEFAULT 0; \
                 CREATE TABLE extra (id INTEGER PRIMARY KEY) STRICT;",
            down: "DROP TABLE extra; ALTER TABLE messages DROP COLUMN priority;",
        },
        Migration {
            version: 3,
            up: "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;",
            down: "DROP TABLE more;",
        },
    ];

    fn open(path: &Path, known: usize) -> Result<i64, OpenError> {
        let index = open_writer(path, &NEXT[..known], Timestamp::UNIX_EPOCH)?;
        Ok(version(&index)?)
    }

    fn tables(path: &Path) -> Vec<String> {
        let index = Connection::open(path).unwrap();
        let mut statement = index
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |r| r.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn forward_and_one_version_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.db");
        assert_eq!(open(&path, 1).unwrap(), 1);
        let first = tables(&path);
        assert_eq!(open(&path, 2).unwrap(), 2);
        // The older program finds the way back in the index.
        assert_eq!(open(&path, 1).unwrap(), 1);
        assert_eq!(tables(&path), first);
        assert_eq!(open(&path, 3).unwrap(), 3);
        assert!(matches!(
            open(&path, 1),
            Err(OpenError::TooNew { found: 3, known: 1 })
        ));
        assert_eq!(open(&path, 3).unwrap(), 3);
        assert_eq!(open(&path, 2).unwrap(), 2);
    }

    #[test]
    fn a_broken_migration_leaves_all_as_it_was() {
        const BROKEN: &[Migration] = &[
            MIGRATIONS[0],
            Migration {
                version: 2,
                up: "CREATE TABLE extra (id INTEGER PRIMARY KEY); SELECT nonsense();",
                down: "",
            },
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.db");
        open(&path, 1).unwrap();
        let before = tables(&path);
        assert!(open_writer(&path, BROKEN, Timestamp::UNIX_EPOCH).is_err());
        assert_eq!(tables(&path), before);
        assert_eq!(open(&path, 1).unwrap(), 1);
    }

    #[test]
    fn what_is_no_spool_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE theirs (id)").unwrap();
        drop(other);
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(open(&path, 1), Err(OpenError::NotASpool(_))));
        assert!(matches!(open_reader(&path), Err(OpenError::NotASpool(_))));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let text = folder.path().join("text.db");
        std::fs::write(&text, vec![b'x'; 5000]).unwrap();
        assert!(matches!(open(&text, 1), Err(OpenError::Index(_))));
    }

    #[test]
    fn durability_is_asked_for_and_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spool.db");
        let index = open_writer(&path, MIGRATIONS, Timestamp::UNIX_EPOCH).unwrap();
        verify_durable(&index).unwrap();
        index.pragma_update(None, "synchronous", "NORMAL").unwrap();
        assert!(matches!(
            verify_durable(&index),
            Err(OpenError::NotDurable {
                pragma: "synchronous",
                ..
            })
        ));
        let memory = Connection::open_in_memory().unwrap();
        assert!(matches!(
            verify_durable(&memory),
            Err(OpenError::NotDurable {
                pragma: "journal_mode",
                ..
            })
        ));
    }
}
