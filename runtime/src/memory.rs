//! What the process holds in memory, and giving back what it does not use.

#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Resident memory of a process (`VmRSS`), in bytes; none where the system does not tell.
#[must_use]
pub fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    kib(&status, "VmRSS:").map(|kib| kib * 1024)
}

/// The number of kB on the line that begins with `name`.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Memory that the process may still take without anything being thrown out, in bytes: what the
/// system has, or what its control group leaves it where that is less. None where neither is told.
#[must_use]
pub fn available_bytes() -> Option<u64> {
    let system = std::fs::read_to_string("/proc/meminfo").ok();
    let system = system.and_then(|text| kib(&text, "MemAvailable:")).map(|kib| kib * 1024);
    let number = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    let group = group.map(|(most, used)| most.saturating_sub(used));
    system.into_iter().chain(group).min()
}

/// Asks for pages of 4 KiB. The system would back the allocator's reserves with pages of 2 MiB, of
/// which a role that is idle uses a corner each: some 20 MB. To be called before all else. Where
/// the system refuses, there is more memory in use and nothing else wrong.
pub fn small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the system keeps its large pages");
    }
}

/// How often memory that is of no use is given back.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(60);

/// Gives back what is of no use, now and every minute from then on. Called when a service has
/// started.
///
/// - Program pages. Reading a configuration, compiling patterns and preparing a model run through
///   some 20 MB of program that scoring never touches again, and the system brings in sixteen
///   pages for each that is touched; what is in use comes back from the page cache at once.
/// - What the allocator keeps for the thread that calls this.
pub(crate) async fn give_back_unused() {
    let mut tick = tokio::time::interval(GIVE_BACK_EVERY);
    loop {
        tick.tick().await;
        give_back_free();
        forget_program();
    }
}

/// How often at most a worker that has nothing to do gives back what the allocator keeps for it.
const FREE_EVERY: Duration = Duration::from_secs(20);

thread_local! {
    static FREED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be called by a worker thread whenever it has nothing to do. The allocator keeps pages for the
/// thread that took them and gives back what is free only while that thread allocates: a process
/// that was flooded and then has nothing to do would hold what the flood took for ever.
pub fn give_back_when_idle() {
    let now = Instant::now();
    if FREED.get().is_none_or(|last| now.duration_since(last) >= FREE_EVERY) {
        FREED.set(Some(now));
        give_back_free();
    }
}

/// Where the process allocates by mimalloc, as every role does; of no effect elsewhere.
#[expect(unsafe_code, reason = "the allocator is a library in C")]
fn give_back_free() {
    // SAFETY: takes no pointer, and may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(target_os = "linux")]
fn forget_program() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for mapping in program(&maps) {
        forget(&mapping);
    }
}

/// Other systems have no word for it.
#[cfg(not(target_os = "linux"))]
fn forget_program() {}

/// A part of the address space that holds a file. See `proc_pid_smaps(5)`.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
struct Mapping<'a> {
    start: usize,
    length: usize,
    rights: &'a str,
    file: &'a str,
}

#[cfg(target_os = "linux")]
impl<'a> Mapping<'a> {
    /// From the first line of a mapping; none for the other lines, and where there is no file.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        let rights = words.next()?;
        let file = line.get(line.find('/')?..)?;
        Some(Self { start, length: end.checked_sub(start)?, rights, file })
    }
}

/// Code and constants of the program and its libraries, of which this process has written
/// nothing: their pages are the file's, whatever becomes of the mapping.
#[cfg(target_os = "linux")]
fn program(smaps: &str) -> Vec<Mapping<'_>> {
    let mut found: Vec<Mapping<'_>> = Vec::new();
    let mut open = None;
    for line in smaps.lines() {
        if is_first(line) {
            open = Mapping::parse(line);
        } else if let Some(own) = kib(line, "Anonymous:") {
            found.extend(open.take().filter(|_| own == 0));
        }
    }
    let code = |of: &&Mapping<'_>| of.rights == "r-xp";
    let files: BTreeSet<&str> = found.iter().filter(code).map(|of| of.file).collect();
    found.retain(|of| matches!(of.rights, "r-xp" | "r--p") && files.contains(of.file));
    found
}

/// Whether a line of `smaps` begins a mapping: those that tell of one begin with a name.
#[cfg(target_os = "linux")]
fn is_first(line: &str) -> bool {
    line.split(' ').next().is_some_and(|word| !word.ends_with(':'))
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the one call by which a process speaks of its own pages")]
fn forget(mapping: &Mapping<'_>) {
    let address = std::ptr::without_provenance_mut(mapping.start);
    // SAFETY: the range is a mapping of a file that this process can only read and execute, and
    // has no page of its own in (`Anonymous` is 0): for such a mapping `MADV_DONTNEED` means
    // that the next access reads the same bytes from the file again. See `madvise(2)`. It is still
    // that mapping: the file is the program or a library, and none is ever unloaded here.
    let failed = unsafe { libc::madvise(address, mapping.length, libc::MADV_DONTNEED) } != 0;
    if failed {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "program pages stay in memory");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MAPS: &str = "\
5500-5600 r--p 00000000 fe:00 11                         /bin/magsentinel
Private_Dirty: 4 kB
Anonymous: 0 kB
5600-5900 r-xp 00001000 fe:00 11                         /bin/magsentinel
Private_Dirty: 4 kB
Anonymous:         0 kB
5900-6000 r--p 00001000 fe:00 11                         /bin/magsentinel
Anonymous:         4 kB
6000-6100 r-xp 00000000 00:00 0                          [vdso]
Anonymous:         0 kB
6100-6200 r--p 00000000 fe:00 12                         /var/lib/data
Anonymous:         0 kB
6200-6300 rw-p 00000000 fe:00 11                         /bin/magsentinel
Anonymous:         0 kB
6300-6400 rw-p 00000000 00:00 0
Anonymous:         0 kB
";

    #[test]
    fn only_unwritten_program_is_let_go() {
        let found: Vec<(usize, usize)> =
            program(MAPS).iter().map(|of| (of.start, of.length)).collect();
        assert_eq!(found, [(0x5500, 0x100), (0x5600, 0x300)]);
    }

    #[test]
    fn a_process_goes_on_without_its_pages() {
        let own = || resident_bytes(std::process::id()).unwrap();
        let before = own();
        forget_program();
        let after = own();
        assert!(after < before, "{before} {after}");
        assert!(program(&std::fs::read_to_string("/proc/self/smaps").unwrap()).len() > 1);
    }
}
