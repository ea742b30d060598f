//! SIGTERM and SIGINT become one flag.

use std::io::Read;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// A flag that turns true on SIGTERM or SIGINT. A second signal ends the process at once with
/// exit code 130.
pub fn on_signals() -> std::io::Result<watch::Receiver<bool>> {
    let (stop, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        for asked in 0_u32.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked > 0 {
                tracing::warn!("asked again; ending at once");
                std::process::exit(130);
            }
            tracing::info!("asked to end; draining");
            stop.send_replace(true);
        }
    });
    Ok(stopping)
}

/// The same flag, which also turns true when standard input ends: a parent that holds the other
/// end and dies, however, takes its children along.
#[must_use]
pub fn with_parent(mut signals: watch::Receiver<bool>) -> watch::Receiver<bool> {
    let (stop, stopping) = watch::channel(false);
    let (gone, mut parent) = watch::channel(false);
    // A thread of its own, because a blocked read cannot be cancelled and must not delay the
    // end of the process.
    std::thread::spawn(move || {
        drop(std::io::stdin().read(&mut [0; 1]));
        gone.send_replace(true);
    });
    tokio::spawn(async move {
        tokio::select! {
            _ = parent.wait_for(|gone| *gone) => tracing::info!("parent is gone; draining"),
            _ = signals.wait_for(|stop| *stop) => {}
        }
        stop.send_replace(true);
        stop.closed().await;
    });
    stopping
}
