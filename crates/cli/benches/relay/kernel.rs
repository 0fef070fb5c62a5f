//! What the kernel says about a process: processor time, memory, system calls of the disk.

use std::path::PathBuf;
use std::time::Duration;

/// A moment of the steady clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a bench measures the machine's time"
)]
pub(crate) fn moment() -> std::time::Instant {
    std::time::Instant::now()
}

/// Ticks of the kernel's processor clock in a second, on every Linux that is common.
const TICKS_PER_S: u64 = 100;

/// Processor time of a process so far, without its children.
pub(crate) fn cpu(pid: u32) -> Duration {
    ticks(&fields(pid), 11..13)
}

/// Processor time of a process, its living descendants, and those it has buried.
pub(crate) fn cpu_of_family(pid: u32) -> Duration {
    let own = ticks(&fields(pid), 11..15);
    own + children(pid)
        .into_iter()
        .map(cpu_of_family)
        .sum::<Duration>()
}

/// A process's child processes.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let read = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let lists: Vec<String> = tasks.filter_map(read).collect();
    let words = lists.iter().flat_map(|list| list.split_whitespace());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The fields of `stat` behind the program's name, which may hold anything.
fn fields(pid: u32) -> Vec<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let words = rest.split_whitespace();
    words.map(|word| word.parse().unwrap_or(0)).collect()
}

fn ticks(fields: &[u64], places: std::ops::Range<usize>) -> Duration {
    let ticks: u64 = fields.get(places).unwrap_or_default().iter().sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_S)
}

/// A line of a process's status, in KiB: `VmRSS`, `VmHWM`.
pub(crate) fn memory_kib(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line));
    let word = found.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Sets a process's highest memory back to what it has now.
pub(crate) fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child's peak");
}

/// The folder whose disk is measured: `SENDAS_BENCH_DISK`, or the system's for temporary files.
pub(crate) fn disk() -> PathBuf {
    std::env::var_os("SENDAS_BENCH_DISK").map_or_else(std::env::temp_dir, PathBuf::from)
}

/// Processors of this machine, and how busy they have been in the last minute.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{processors} processors, load {load}")
}

/// Descriptors that a process may have.
pub(crate) fn descriptors_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).unwrap_or(u64::MAX)
}
