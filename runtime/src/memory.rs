//! What the process holds in memory, and giving back what only its start needed.

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

/// Lets go of program pages in memory. Reading a configuration, compiling patterns and preparing
/// a model run through some 20 MB of program that scoring never touches again; what it does touch
/// comes back from the page cache at once. Called when a service has started.
#[cfg(target_os = "linux")]
pub(crate) fn forget_program() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in program(&maps) {
        forget(start, length);
    }
}

/// Other systems have no word for it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forget_program() {}

/// Executable mappings of files, address and length, of which this process has written nothing:
/// their pages are the file's, whatever becomes of the mapping. See `proc_pid_smaps(5)`.
#[cfg(target_os = "linux")]
fn program(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open = None;
    for line in smaps.lines() {
        if let Some(mapping) = executable(line) {
            open = mapping;
        } else if let Some(own) = kib(line, "Anonymous:") {
            found.extend(open.take().filter(|_| own == 0));
        }
    }
    found
}

/// For the first line of a mapping: its place, if it holds a file's program. None for the others.
#[cfg(target_os = "linux")]
fn executable(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let is_program = words.next()? == "r-xp" && words.nth(2)? != "0";
    Some(is_program.then_some((start, end - start)))
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the one call by which a process speaks of its own pages")]
fn forget(start: usize, length: usize) {
    let address = std::ptr::without_provenance_mut(start);
    // SAFETY: the range is a mapping of a file that this process can only read and execute, and
    // has no page of its own in (`Anonymous` is 0): for such a mapping `MADV_DONTNEED` means
    // that the next access reads the same bytes from the file again. See `madvise(2)`.
    let failed = unsafe { libc::madvise(address, length, libc::MADV_DONTNEED) } != 0;
    if failed {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "program pages stay in memory");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const MAPS: &str = "\
5500-5600 r--p 00000000 fe:00 11 /bin/magsentinel
Private_Dirty: 4 kB
Anonymous: 0 kB
5600-5900 r-xp 00001000 fe:00 11 /bin/magsentinel
Private_Dirty: 4 kB
Anonymous:         0 kB
5900-6000 r-xp 00001000 fe:00 12 /lib/patched.so
Anonymous:         4 kB
6000-6100 r-xp 00000000 00:00 0 [vdso]
Anonymous:         0 kB
";

    #[test]
    fn only_unwritten_program_of_files_is_let_go() {
        assert_eq!(program(MAPS), [(0x5600, 0x300)]);
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
