//! Neither runs nor reloads keep memory.
//!
//! Counted is what is allocated and not freed, exactly, by this process's own allocator; how
//! much of what was freed goes back to the system at once is the allocator's business.
use super::fixture::{alone, blueprint, bundle, found, scorer};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes that are allocated now.
fn held() -> i64 {
    let stats = ALLOCATOR.stats();
    i64::try_from(stats.bytes_allocated).unwrap() - i64::try_from(stats.bytes_deallocated).unwrap()
}

#[test]
fn runs_keep_nothing() {
    let _alone = alone();
    let mut scorer = scorer(&blueprint());
    let texts = ["SELECT a FROM t WHERE id = 7", "1' UNION SELECT NULL,NULL,NULL-- -"];
    let mut run = |times: usize| {
        (0..times).for_each(|_| assert_eq!(found(&mut scorer, &texts), [false, true]));
    };
    run(100);
    let before = held();
    run(1000);
    let grown = held() - before;
    assert!(grown < 1000, "{grown} bytes more after 1000 further runs");
}

#[test]
fn a_thousand_reloads_under_load_lose_nothing_and_do_not_grow() {
    let _alone = alone();
    let blueprint = blueprint();
    let stop = Arc::new(AtomicBool::new(false));
    let reloads = Arc::new(AtomicU64::new(0));
    let load = {
        let (mut scorer, stop, reloads) =
            (scorer(&blueprint), Arc::clone(&stop), Arc::clone(&reloads));
        std::thread::spawn(move || {
            let texts = ["SELECT a FROM t WHERE id = 7", "1' UNION SELECT NULL,NULL,NULL-- -"];
            let mut batches = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                if batches > 5 * reloads.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                    continue;
                }
                // One or the other, never half: the model is the same, so are its verdicts.
                assert_eq!(found(&mut scorer, &texts), [false, true]);
                batches += 1;
            }
            batches
        })
    };
    let both = [true, false].map(|own| bundle(own).to_bytes().unwrap());
    let mut settled = 0;
    for n in 0..1000 {
        blueprint.rearm(Some(&both[n % 2])).unwrap();
        reloads.fetch_add(1, Ordering::Relaxed);
        if n == 200 {
            settled = held();
        }
    }
    let grown = held() - settled;
    stop.store(true, Ordering::Relaxed);
    assert!(load.join().unwrap() > 1000);
    // The two threads may be one model apart at either moment: some two megabytes.
    assert!(grown < 4 << 20, "{grown} bytes more after 800 further reloads");
}
