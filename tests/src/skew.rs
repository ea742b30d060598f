//! A wall clock that is off, for one process alone.
//!
//! The process asks the system's library for the time, and a library that is loaded before it
//! answers: so the program under test is the one that is shipped, without a switch for tests. It is
//! made with the C compiler that links the tests.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What the process is told instead: the time of the system, and so many seconds more.
const CLOCK: &str = "
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *ts) {
    int failed = (int)syscall(SYS_clock_gettime, id, ts);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += AHEAD;
    return failed;
}
";

/// The library that puts a wall clock ahead by so many seconds, or behind.
#[must_use]
pub fn clock(dir: &Path, ahead: i64) -> PathBuf {
    let (source, library) = (dir.join("clock.c"), dir.join(format!("clock{ahead}.so")));
    if library.is_file() {
        return library;
    }
    std::fs::write(&source, CLOCK).expect("the source is written");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library);
    command.arg(format!("-DAHEAD=({ahead})")).arg(&source);
    let made = command.status().expect("a C compiler, as cc or in CC");
    assert!(made.success(), "{command:?} ended with {made}");
    library
}

#[cfg(test)]
mod tests {
    use super::clock;
    use std::process::Command;

    #[test]
    fn a_process_that_is_started_with_it_has_another_time_and_others_have_not() {
        let dir = tempfile::tempdir().unwrap();
        let asked = |ahead: Option<i64>| -> i64 {
            let mut command = Command::new("date");
            if let Some(ahead) = ahead {
                command.env("LD_PRELOAD", clock(dir.path(), ahead));
            }
            let told = command.arg("+%s").output().unwrap();
            String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
        };
        let (now, later, earlier) = (asked(None), asked(Some(5000)), asked(Some(-5000)));
        assert!((4900..5100).contains(&(later - now)), "{now} {later}");
        assert!((4900..5100).contains(&(now - earlier)), "{now} {earlier}");
    }
}
